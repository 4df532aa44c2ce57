// Package onnxpb holds the ONNX messages, generated from the format's own onnx-ml.proto. The proto package is renamed to
// smpcc.onnx, so that a program that also links another ONNX decoder does not fail at init with two registrations of one name.
package onnxpb

//go:generate protoc --go_out=. --go_opt=paths=source_relative onnx-ml.proto
