// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"time"

	"github.com/enarx/enarx-go/attest/collateral/item"
)

// Limits on what comes from outside. Sizes are in bytes.
const (
	// maxBody bounds one answer. The largest seen is a TCB info of 9 KiB; a
	// list in hexadecimal has twice its size, and item.MaxPart bounds what is
	// left of it.
	maxBody = 2*item.MaxPart + 1<<10
	// maxHeaders bounds the header of an answer: an issuer chain in percent
	// encoding has 3 KiB.
	maxHeaders = 64 << 10
	// maxRecord bounds one record of the cache: the chain of a Nitro list in
	// hexadecimal is its largest field, 4 KiB.
	maxRecord = 16 << 10
	// maxManifest bounds the manifest of an export: maxArchiveItems records
	// of 1 KiB, more than any has that is not for a PCK certificate.
	maxManifest = 8 << 20
	// maxArchiveItems and maxArchiveFiles bound an export: the VCEKs of a
	// large fleet, and room.
	maxArchiveItems = 8192
	maxArchiveFiles = item.MaxParts*maxArchiveItems + 1
	// maxArchive bounds the bytes of an export that are held in memory.
	maxArchive = 64 << 20
	// maxText bounds texts from outside that are kept for people.
	maxText = 2048
	// maxQuarantine bounds the damaged items that are kept to be looked at.
	maxQuarantine = 16
	// DefaultMaxBytes bounds a cache: some 20,000 VCEKs with their records.
	DefaultMaxBytes = 64 << 20
	// maxEntries bounds the items of a cache that are looked at.
	maxEntries = 1 << 16
)

// Times of asking.
const (
	// minAge keeps an item that is still valid from being asked for again
	// and again, whatever its end: a service that throttles is asked once.
	minAge = time.Hour
	// slack is how far in the future an item may begin that is taken where
	// there is none yet: Intel dates documents at the moment of asking, and
	// clocks differ.
	slack = time.Hour
)

// schedule is how an item of a kind is looked after.
type schedule struct {
	// ask is how long after an item was last confirmed it is asked for
	// again although it has not ended: a revocation or a TCB recovery does
	// not wait for the end of what is there.
	ask time.Duration
	// announce is how long before its end an item is announced.
	announce time.Duration
}

const day = 24 * time.Hour

var schedules = map[item.Kind]schedule{
	item.VCEK:       {0, 90 * day},         // seven years; never asked for again before its end
	item.VLEK:       {0, 30 * day},         // one year; the host brings it
	item.PCK:        {0, 90 * day},         // about seven years
	item.AMDChain:   {30 * day, 180 * day}, // twenty-five years
	item.AMDList:    {day, 30 * day},       // one year
	item.TCBInfo:    {day, 7 * day},        // thirty days
	item.QEIdentity: {day, 7 * day},        // thirty days
	item.PCKList:    {day, 7 * day},        // thirty days
	item.RootList:   {day, 30 * day},       // one year
	item.NitroList:  {day / 2, day},        // as long as AWS says, at most the three weeks of a region's certificate
}
