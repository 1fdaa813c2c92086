// Command process-order-go is a Lambda function that validates an order, prices it and answers: called directly it takes
// the order as its event, through a function URL as the body of the request.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strconv"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func main() {
	tax, err := strconv.ParseInt(os.Getenv("TAX_BASIS_POINTS"), 10, 64)
	if err != nil {
		tax = 825
	}
	f := function{taxBasisPoints: tax, log: slog.New(slog.NewJSONHandler(os.Stdout, nil))}
	lambda.Start(f.handle)
}

type function struct {
	taxBasisPoints int64
	log            *slog.Logger
}

func (f function) handle(ctx context.Context, event json.RawMessage) (any, error) {
	var call events.LambdaFunctionURLRequest
	if json.Unmarshal(event, &call) != nil || call.RequestContext.HTTP.Method == "" {
		return f.process(ctx, event)
	}
	body := []byte(call.Body)
	if call.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(call.Body); err != nil {
			return nil, err
		}
	}
	if !json.Valid(body) {
		return answer(400, map[string]any{"error": "InvalidOrder", "problems": []string{"the body has to be JSON"}})
	}
	priced, err := f.process(ctx, body)
	var invalid InvalidOrder
	switch {
	case errors.As(err, &invalid):
		return answer(400, map[string]any{"error": "InvalidOrder", "problems": invalid.Problems})
	case err != nil:
		return nil, err
	}
	return answer(200, priced)
}

func (f function) process(ctx context.Context, event []byte) (*pricedOrder, error) {
	requestID := ""
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		requestID = lc.AwsRequestID
	}
	priced, err := priceOrder(event, f.taxBasisPoints, requestID)
	if err != nil {
		return nil, err
	}
	f.log.Info("order priced", "requestId", requestID, "orderId", priced.OrderID, "items", len(priced.Items), "totalCents", priced.TotalCents)
	return priced, nil
}

func answer(status int, body any) (events.LambdaFunctionURLResponse, error) {
	text, err := json.Marshal(body)
	return events.LambdaFunctionURLResponse{
		StatusCode: status, Headers: map[string]string{"content-type": "application/json"}, Body: string(text),
	}, err
}
