// Package meter turns invocations into usage records, usage records into a ledger, and the ledger into a bill. The bill
// is pure arithmetic in exact fractions; the journal is the only part with a disk under it.
package meter

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
)

// FreeStorageMB is the part of /tmp that Lambda does not charge for (https://aws.amazon.com/lambda/pricing/).
const FreeStorageMB = 512

// Book is a price book. Amounts are decimal strings so that no price is rounded by being read.
type Book struct {
	Name              string           `json:"name"`
	Currency          string           `json:"currency"`
	PerMillionRequest Price            `json:"perMillionRequests"`
	PerGBSecond       map[string]Price `json:"perGBSecond"`        // by architecture: "x86_64", "arm64"
	StoragePerGBSec   Price            `json:"storagePerGBSecond"` // for /tmp beyond FreeStorageMB
}

// Price is an exact amount of the book's currency.
type Price struct{ rat *big.Rat }

// UnmarshalJSON reads a decimal string such as "0.0000166667".
func (p *Price) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a price is a decimal in quotes, such as \"0.20\": %w", err)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || r.Sign() < 0 {
		return fmt.Errorf("a price is a decimal in quotes, such as \"0.20\", not %q", s)
	}
	p.rat = r
	return nil
}

func (p Price) times(n *big.Rat) *big.Rat {
	if p.rat == nil {
		return new(big.Rat)
	}
	return new(big.Rat).Mul(p.rat, n)
}

//go:embed prices/lambda-us-east-1.json
var lambdaPrices []byte

// LoadBook reads a price book file; an empty path is the embedded book of Lambda's public prices in us-east-1.
func LoadBook(path string) (*Book, error) {
	data, source := lambdaPrices, "embedded price book"
	if path != "" {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("price book: %w", err)
		}
		source = path
	}
	var b Book
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("price book %s: %w", source, err)
	}
	if b.Currency == "" || len(b.PerGBSecond) == 0 {
		return nil, fmt.Errorf("price book %s: currency and perGBSecond are required", source)
	}
	return &b, nil
}
