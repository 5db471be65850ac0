// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package collateral fetches and keeps what vendors publish about their
// hardware: certificates of chips, revocation lists, TCB data. It is the only
// package that talks to vendors.
//
//	client := collateral.NewClient(collateral.ClientOptions{})
//	cache, err := collateral.Open(collateral.Options{
//		Dir:     dir,
//		Sources: []collateral.Source{&collateral.KDS{Client: client}, &collateral.PCS{Client: client}},
//	})
//	col, results, err := cache.For(ctx, evidence, nil, item.Hint{}, collateral.WhenDue)
//	claims, verdict := verifier.Verify(evidence, col, expected, now)
//
// What it returns is as untrusted as what a host staples: a verifier checks
// every byte of it, at its own time. What this package promises is another
// thing: that good data is at hand when it is needed, and says ahead when it
// will not be.
//
// # Good data stays
//
// An answer takes the place of what is there only if it has been followed to
// the vendor's pinned root (package item), is about the same thing, is not older and
// is valid now. A refresh that fails, for whatever reason, changes nothing; its
// result says which rule held the answer back, and whether what is there is
// still valid ([Kept]) or not ([Failed]). What has ended is kept too, for
// evidence of its time, until room is needed. Items that never change, such as a VCEK, are fetched
// once.
//
// On disk each part is named by its digest and the record that names them is
// renamed into place last, so that a crash at any point leaves the old item or
// the new one. A damaged item is noticed whenever it is used, set aside and
// fetched anew. Several processes may share a directory: nothing is compared or
// replaced but under a file lock.
//
// # Asking
//
// Many askers for one item make one request. A request has bounds for
// connection, header, body and all attempts together; it ends when its context
// does. Pauses between attempts grow, are left half to chance, and respect
// Retry-After, in seconds or as a date, up to a bound beyond which the client
// gives up at once and says how long to wait. 404 is an answer, not a failure of the network, and is
// not asked again: it becomes a [NotFoundError] that says what it means.
// Redirects to other hosts are not followed. Addresses do not come from
// evidence, but for the lists of Nitro, whose addresses must stand in a chain
// that AWS's root has signed and be AWS's. Proxies of the environment (HTTPS_PROXY, NO_PROXY) are used.
//
// # Sources
//
// [KDS] and [PCS] speak to AMD and Intel or to mirrors of them under another
// address, [AWS] fetches the revocation lists of Nitro; [Dir] reads an exported directory. Anything else that implements
// [Source] will do.
package collateral
