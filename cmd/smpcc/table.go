package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"smpcc/backend/plan"
)

// A table aligns columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, head ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	t.row(head...)
	return t
}

func (t *table) row(cells ...string) {
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(cells, "\t"), "\t "))
}

func (t *table) flush() error { return t.w.Flush() }

// writeJSON writes what a program reads.
func writeJSON(w io.Writer, x any) error {
	b, err := json.MarshalIndent(x, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", b)
	}
	return err
}

// bytesText renders a number of bytes.
func bytesText(n int64) string { return plan.Bytes(n) }

// A progress shows on a terminal what takes longer than a second; elsewhere it shows nothing.
type progress struct {
	bar  *progressbar.ProgressBar
	stop chan struct{}
	mu   sync.Mutex // of what the bar shows, and whether it is there
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(w), progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(true))
	p := &progress{bar: bar, stop: make(chan struct{})}
	go func() {
		for t := time.NewTimer(time.Second); ; t.Reset(100 * time.Millisecond) {
			select {
			case <-p.stop:
				t.Stop()
				return
			case <-t.C:
				_ = bar.Add(1) // a bar that cannot be drawn is no reason to fail
			}
		}
	}()
	return p
}

// stage says what is going on.
func (p *progress) stage(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Describe(what)
	}
}

// waiting says that a server is not reached yet.
func (p *progress) waiting(name, addr, why string) {
	text := fmt.Sprintf("waiting for %s at %s", name, addr)
	if why, _, _ = strings.Cut(why, ";"); why != "" {
		text += ": " + why
	}
	p.stage(text)
}

// done removes the bar.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return
	}
	close(p.stop)
	_ = p.bar.Finish()
	p.bar = nil
}
