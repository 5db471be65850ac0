# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0

# Words are the words of a text in any script.
class Words
  def initialize(input)
    @counts = input.each_line.flat_map { |line| line.scan(/\p{Alpha}+/) }.map(&:downcase).tally
    raise ArgumentError, "too many words" if @counts.size > 10_000
  end

  def count = @counts.values.sum

  def most(number)
    @counts.sort_by { |word, n| [-n, word] }.first(number).each { |word, n| yield word, n }
  end

  def by_length = @counts.keys.sort_by { |word| [-word.length, word] }
end
