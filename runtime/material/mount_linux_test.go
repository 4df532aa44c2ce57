package material

import (
	"fmt"
	"syscall"
	"testing"
)

// mount makes a folder a disk of a size, or changes the size of the one it is. Only the superuser may.
func mount(t *testing.T, dir string, size int, again bool) {
	t.Helper()
	flags := uintptr(0)
	if again {
		flags = syscall.MS_REMOUNT
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	if !again {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
}
