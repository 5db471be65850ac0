# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0

package Amounts;
use strict;
use warnings;

sub new { return bless {}, shift }

sub add {
    my ($self, $line) = @_;
    my ($name, $amount) = $line =~ /^(?<name>\w+)\s+(-?\d+(?:\.\d+)?)$/
        or die "no amount: $line\n";
    $self->{$name} += $amount;
    return;
}

1;
