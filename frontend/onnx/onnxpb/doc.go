// Package onnxpb holds the ONNX messages, generated from the format's own onnx-ml.proto. The proto package is renamed to
// smpcc.onnx, so that a program that also links another ONNX decoder does not fail at init with two registrations of one name.
//
// onnx-ml.proto is that of ONNX 1.20 (format version 13), field for field. To take a newer one, put it in its place with the lines
// "package smpcc.onnx;" and "option go_package" as they are, and run "make generate": it needs protoc (Debian:
// protobuf-compiler); protoc-gen-go is pinned as a tool in go.mod. Then look for what a decoder must not pass over in silence:
// data types (elemOf), attribute kinds, fields that change what a function or node means.
package onnxpb

//go:generate sh -c "protoc --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --go_out=. --go_opt=paths=source_relative onnx-ml.proto"
