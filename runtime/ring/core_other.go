//go:build !amd64

package ring

// processorCores returns none: there is assembly for amd64 only.
func processorCores() []*core { return nil }
