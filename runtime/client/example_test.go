package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"smpcc/runtime/client"
)

// A hundred requests over one connection to each server, eight at once.
func Example() {
	c, err := client.Open("p1-client.yaml", "mnist.plan")
	if err != nil {
		slog.Error("client", "error", err)
		return
	}
	defer c.Close()
	requests := make([]client.Inputs, 100)
	for i := range requests {
		requests[i] = client.Inputs{"input": make([]float64, 28*28)} // an image
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	results, err := c.Batch(ctx, 8, requests, func(done int) { fmt.Printf("%d of %d\n", done, len(requests)) })
	if err != nil {
		slog.Error("inference", "error", err)
		return
	}
	for _, r := range results {
		fmt.Println(r.Session, r.Outputs["output"])
	}
}
