# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
#
# Adds up the amounts of "name amount" lines by name. The first argument is the
# least sum to show.
use strict;
use warnings;
use lib '/app';
use Amounts;

$| = 1; # this build's exit does not write out what it holds back
my $least = shift // 0;
my $amounts = Amounts->new;
while (my $line = <STDIN>) {
    chomp $line;
    eval { $amounts->add($line); 1 } or print "skipped: $@";
}
for my $name (sort { $amounts->{$b} <=> $amounts->{$a} or $a cmp $b } keys %$amounts) {
    printf "%-8s %8.2f\n", $name, $amounts->{$name} if $amounts->{$name} >= $least;
}
(my $names = join ' ', sort keys %$amounts) =~ s/(\w+)/\u$1/g;
print "names: $names\n";
exit 3 unless %$amounts;
