package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func TestCases(t *testing.T) {
	src, err := os.ReadFile("../process-order-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name     string
		Order    json.RawMessage
		Expect   *pricedOrder
		Problems []string
	}
	if err := json.Unmarshal(src, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, err := priceOrder(c.Order, 825, "x")
			if c.Expect != nil {
				if err != nil || !reflect.DeepEqual(got, c.Expect) {
					t.Errorf("got %+v, %v; want %+v", got, err, c.Expect)
				}
				return
			}
			var invalid InvalidOrder
			if !errors.As(err, &invalid) || !reflect.DeepEqual(invalid.Problems, c.Problems) {
				t.Errorf("got %v, want problems %q", err, c.Problems)
			}
		})
	}
}

func TestHandle(t *testing.T) {
	f := function{taxBasisPoints: 825, log: slog.New(slog.DiscardHandler)}
	ctx := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
	order := `{"customer":{"id":"c"},"items":[{"sku":"A","quantity":1,"unitPriceCents":100}]}`

	got, err := f.handle(ctx, json.RawMessage(order))
	if p, ok := got.(*pricedOrder); err != nil || !ok || p.OrderID != "request-1" || p.TotalCents != 108 {
		t.Errorf("direct call: got %+v, %v", got, err)
	}

	for body, want := range map[string]events.LambdaFunctionURLResponse{
		order: {StatusCode: 200, Body: `{"orderId":"request-1","customerId":"c","currency":"USD","items":[{"sku":"A","quantity":1,"lineCents":100}],` +
			`"subtotalCents":100,"discountCents":0,"taxCents":8,"totalCents":108}`},
		"not json": {StatusCode: 400, Body: `{"error":"InvalidOrder","problems":["the body has to be JSON"]}`},
	} {
		event, _ := json.Marshal(map[string]any{"requestContext": map[string]any{"http": map[string]any{"method": "POST"}}, "body": body})
		got, err := f.handle(ctx, event)
		if r, ok := got.(events.LambdaFunctionURLResponse); err != nil || !ok || r.StatusCode != want.StatusCode || r.Body != want.Body {
			t.Errorf("HTTP call with %s: got %+v, %v", body, got, err)
		}
	}
}
