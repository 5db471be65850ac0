// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/collateraltest"
	"github.com/enarx/enarx-go/attest/collateral"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

// A verifier's service keeps collateral at hand for the evidence that comes in.
// Here the vendors are recorded ones on a loopback port, and the time is theirs.
func Example() {
	root, err := collateraltest.ModuleRoot()
	if err != nil {
		fmt.Println(err)
		return
	}
	recorded, err := collateraltest.New(root)
	if err != nil {
		fmt.Println(err)
		return
	}
	vendors := httptest.NewServer(recorded)
	defer vendors.Close()
	dir, err := os.MkdirTemp("", "collateral-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	client := collateral.NewClient(collateral.ClientOptions{})
	cache, err := collateral.Open(collateral.Options{
		Dir: dir,
		Sources: []collateral.Source{
			&collateral.KDS{Client: client, Base: vendors.URL}, // without Base it is AMD's own service
			&collateral.PCS{Client: client, Base: vendors.URL},
		},
		Now: func() time.Time { return collateraltest.At },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	quote, err := recorded.File("attest/internal/dcap/testdata/tdx/v4-b0c06f-phala.quote.bin")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ev := attest.Evidence{MediaType: attest.MediaTypeTDX, Value: quote}
	col, results, err := cache.For(ctx, ev, nil, item.Hint{}, collateral.WhenDue)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Printf("%s: %v, %d days left\n", r.Outcome, r.Item, r.Entry.DaysLeft(collateraltest.At))
	}
	fmt.Println(len(col), "entries for the verifier")

	// Output:
	// fetched: TDX TCB info of FMSPC b0c06f000000, 23 days left
	// fetched: TDX QE identity, 23 days left
	// fetched: CRL of the PCK platform CA, 23 days left
	// fetched: CRL of the Intel SGX Root CA, 281 days left
	// 7 entries for the verifier
}
