//go:build !amd64

package dpf

// kernels returns the kernels there are: assembly is for amd64 only.
func kernels() []*kernel { return []*kernel{portable} }
