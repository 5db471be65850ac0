# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
#
# Counts the words of standard input. The first argument is how many to show.
require_relative "words"

words = Words.new($stdin)
words.most(Integer(ARGV.fetch(0, "3"))) { |word, n| puts format("%-10s %3d", word, n) }

longest, *rest = words.by_length
puts "longest: #{longest}, then #{rest.take(2).join(", ")}"

squares = Fiber.new { (1..).each { |n| Fiber.yield n ** 2 } }
puts "squares: #{Array.new(5) { squares.resume }.inspect}, 3**50 = #{3**50}"

case { count: words.count, pattern: /\Ab(?<rest>\w+)/.match(longest) }
in { count: 0 } then exit 3
in { count:, pattern: nil } then puts "#{count} words"
in { count:, pattern: } then puts "#{count} words, b-#{pattern[:rest]}"
end
