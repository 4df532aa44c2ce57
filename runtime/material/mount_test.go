//go:build !linux

package material

import "testing"

// mount would make a folder a disk of a size.
func mount(t *testing.T, _ string, _ int, _ bool) { t.Skip("small disks can be had on Linux only") }
