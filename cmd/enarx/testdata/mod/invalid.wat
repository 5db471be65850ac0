;; Well-formed text of a module that is not valid: nothing is on the stack.
(module (func (export "_start") i32.add drop))
