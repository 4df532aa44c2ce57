package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"smpcc/runtime/control"
	"smpcc/runtime/observe"
)

// TestAlerts tells a webhook that hangs, one that sends elsewhere, and one that answers: nobody waits for them, what does not fit is dropped, the same is told once, and nothing holds more
// than it should.
func TestAlerts(t *testing.T) {
	var elsewhere, got atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	release := make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if len(data) > 1000 || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("an alert of %d bytes, %v", len(data), r.Header)
		}
		got.Add(1)
		switch r.URL.Path {
		case "/hangs-secret":
			<-release
		case "/redirects-secret":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	}))
	defer hook.Close()
	defer close(release)
	for _, tt := range []struct {
		path string
		told int
		want string
	}{{"/hangs-secret", 0, "Client.Timeout"}, {"/redirects-secret", 3, "status 307"}, {"/nothing", 3, ""}} {
		var log strings.Builder
		ctx, cancel := context.WithCancel(context.Background())
		a := newAlerts(hook.URL+tt.path, "p0", slog.New(slog.NewTextHandler(&log, nil)), observe.NewMetrics("p0", "", ""))
		a.client.Timeout = 300 * time.Millisecond
		done := make(chan struct{})
		go func() { a.run(ctx); close(done) }()
		before := got.Load()
		start := time.Now()
		for i := range 5000 {
			a.tell(alertRefusal, "", strings.Repeat("x", 10_000), fmt.Sprint(i%3))
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: telling took %v", tt.path, took)
		}
		if tt.told > 0 {
			for end := time.Now().Add(5 * time.Second); got.Load()-before < int64(tt.told) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			}
			time.Sleep(20 * time.Millisecond)
			if n := got.Load() - before; n != int64(tt.told) {
				t.Errorf("%s: %d alerts came, want %d", tt.path, n, tt.told)
			}
		} else {
			time.Sleep(500 * time.Millisecond)
		}
		cancel()
		<-done
		if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: the log says %q, want %q in it", tt.path, text, tt.want)
		}
	}
	if elsewhere.Load() > 0 {
		t.Error("an alert went where the webhook sent it")
	}
	a := newAlerts(hook.URL, "p0", slog.New(slog.DiscardHandler), observe.NewMetrics("p0", "", ""))
	for i := range 100_000 { // nobody sends
		a.tell(alertRefusal, "", "x", fmt.Sprint(i))
	}
	if len(a.queue) != alertQueue || len(a.told) > alertMost {
		t.Errorf("%d alerts wait, %d are remembered", len(a.queue), len(a.told))
	}
}

// TestHeadMisfit is the table of what may be found of a log.
func TestHeadMisfit(t *testing.T) {
	for what, tt := range map[string]struct {
		entry, last uint64
		hash        string
		fits        bool
	}{
		"goes on": {7, 9, "a", true}, "the same": {7, 7, "a", true}, "archived": {7, 9, "", true}, "rewritten": {7, 9, "b", false}, "shorter": {7, 6, "", false}, "empty": {7, 0, "", false},
		"another entry than was asked for": {6, 9, "b", true},
	} {
		noted := notedHead{Entry: 7, Hash: "a"}
		h := controlHead(tt.entry, tt.hash, tt.last)
		if got := headMisfit(noted, h); (got == "") != tt.fits {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := headMisfit(notedHead{}, controlHead(0, "", 0)); got != "" {
		t.Errorf("nothing noted: %q", got)
	}
}

func controlHead(entry uint64, hash string, last uint64) control.Head {
	return control.Head{Entry: entry, Hash: hash, Last: last}
}
