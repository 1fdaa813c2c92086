package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Pricing of an order. All amounts are whole cents; percentages are basis points (1/100 of a percent).

var coupons = map[string]int64{"WELCOME10": 1000, "FRIEND5": 500}

// volumeDiscounts: from this subtotal on, this much off.
var volumeDiscounts = []struct{ from, basisPoints int64 }{{50_000, 1000}, {10_000, 500}}

// InvalidOrder says all that is wrong with an order. Its name is what Lambda reports as errorType.
type InvalidOrder struct{ Problems []string }

func (e InvalidOrder) Error() string {
	return "the order cannot be processed: " + strings.Join(e.Problems, "; ")
}

// order is an order as it came: what has to be a number may still be anything.
type order struct {
	OrderID  string           `json:"orderId"`
	Customer struct{ ID any } `json:"customer"`
	Items    []map[string]any `json:"items"`
	Coupon   *string          `json:"coupon"`
}

type pricedOrder struct {
	OrderID       string       `json:"orderId"`
	CustomerID    string       `json:"customerId"`
	Currency      string       `json:"currency"`
	Items         []pricedItem `json:"items"`
	SubtotalCents int64        `json:"subtotalCents"`
	DiscountCents int64        `json:"discountCents"`
	TaxCents      int64        `json:"taxCents"`
	TotalCents    int64        `json:"totalCents"`
}

type pricedItem struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	LineCents int64  `json:"lineCents"`
}

func priceOrder(event []byte, taxBasisPoints int64, fallbackID string) (*pricedOrder, error) {
	var o order
	if err := json.Unmarshal(event, &o); err != nil {
		return nil, InvalidOrder{[]string{"the order has to be a JSON object"}}
	}
	if problems := o.check(); len(problems) > 0 {
		return nil, InvalidOrder{problems}
	}
	p := &pricedOrder{OrderID: cmp.Or(o.OrderID, fallbackID), CustomerID: o.Customer.ID.(string), Currency: "USD"}
	for _, item := range o.Items {
		quantity, price := int64(item["quantity"].(float64)), int64(item["unitPriceCents"].(float64))
		p.Items = append(p.Items, pricedItem{item["sku"].(string), quantity, quantity * price})
		p.SubtotalCents += quantity * price
	}
	var off int64
	for _, d := range volumeDiscounts {
		if p.SubtotalCents >= d.from {
			off = d.basisPoints
			break
		}
	}
	if o.Coupon != nil {
		off = max(off, coupons[*o.Coupon])
	}
	p.DiscountCents = share(p.SubtotalCents, off)
	p.TaxCents = share(p.SubtotalCents-p.DiscountCents, taxBasisPoints)
	p.TotalCents = p.SubtotalCents - p.DiscountCents + p.TaxCents
	return p, nil
}

// share of an amount, rounded half up.
func share(cents, basisPoints int64) int64 { return (cents*basisPoints + 5000) / 10_000 }

func (o order) check() []string {
	var problems []string
	if !isText(o.Customer.ID) {
		problems = append(problems, "customer.id is missing")
	}
	if len(o.Items) < 1 || len(o.Items) > 100 {
		problems = append(problems, "items has to list 1 to 100 items")
	} else {
		for i, item := range o.Items {
			if !isText(item["sku"]) {
				problems = append(problems, fmt.Sprintf("items[%d].sku is missing", i))
			}
			if !isWhole(item["quantity"], 1, 1000) {
				problems = append(problems, fmt.Sprintf("items[%d].quantity has to be a whole number from 1 to 1000", i))
			}
			if !isWhole(item["unitPriceCents"], 0, 10_000_000) {
				problems = append(problems, fmt.Sprintf("items[%d].unitPriceCents has to be a whole number from 0 to 10000000", i))
			}
		}
	}
	if o.Coupon != nil {
		if _, known := coupons[*o.Coupon]; !known {
			problems = append(problems, fmt.Sprintf("coupon %q is not known", *o.Coupon))
		}
	}
	return problems
}

func isText(v any) bool {
	s, ok := v.(string)
	return ok && s != ""
}

func isWhole(v any, from, to float64) bool {
	n, ok := v.(float64)
	return ok && n == math.Trunc(n) && n >= from && n <= to
}
