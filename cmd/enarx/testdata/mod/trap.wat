;; Does something undefined.
(module
  (memory (export "memory") 1)
  (func $deep unreachable)
  (func $start (export "_start") (call $deep)))
