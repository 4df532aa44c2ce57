package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"smpcc/runtime/observe"
)

// What somebody should look at is told to a webhook: a request, a refusal, 80 % of a budget, the end of the certificate, a peer whose log does not go on where it was. A message is
// small and holds no data and no secret. Nothing waits for it: what does not fit in the queue is counted, and lost.

// Kinds of alerts.
const (
	alertRequest     = "request"
	alertRefusal     = "refusal"
	alertBudget      = "budget"
	alertCertificate = "certificate"
	alertHead        = "log-head"
)

// Limits of alerts.
const (
	alertQueue   = 64
	alertText    = 500             // bytes
	alertTimeout = 5 * time.Second // of one message
	alertMost    = 1024            // different ones that are remembered
)

// alertAgain is after how long the same is told again.
func alertAgain(kind string) time.Duration {
	if kind == alertRefusal { // it may come as often as somebody tries
		return 10 * time.Minute
	}
	return 24 * time.Hour
}

// An alert is what the webhook gets, as JSON.
type alert struct {
	Alert  string    `json:"alert"`
	Server string    `json:"server"`
	Plan   string    `json:"plan,omitempty"` // digest
	Text   string    `json:"text"`
	Time   time.Time `json:"time"`
}

// alerts are on their way to a webhook.
type alerts struct {
	url     string
	name    string
	log     *slog.Logger
	metrics *observe.Metrics
	client  *http.Client
	queue   chan alert

	mu    sync.Mutex
	swept time.Time            // when old ones were forgotten last
	told  map[string]time.Time // by kind and what it is about: when it was told last
}

// newAlerts returns what tells a webhook; without one, alerts are counted only.
func newAlerts(webhook, name string, log *slog.Logger, metrics *observe.Metrics) *alerts {
	return &alerts{url: webhook, name: name, log: log, metrics: metrics, queue: make(chan alert, alertQueue), told: map[string]time.Time{},
		client: &http.Client{Timeout: alertTimeout, Transport: &http.Transport{MaxConnsPerHost: 1, ResponseHeaderTimeout: alertTimeout, MaxResponseHeaderBytes: 16 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// tell queues an alert, unless the same has been told in the last minutes. about is what makes two of a kind the same. It never waits.
func (a *alerts) tell(kind, plan, text, about string) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	key := kind + " " + about
	if last, ok := a.told[key]; ok && now.Sub(last) < alertAgain(kind) {
		return
	}
	if len(a.told) >= alertMost && now.Sub(a.swept) > time.Second {
		a.swept = now
		for k, t := range a.told {
			if of, _, _ := strings.Cut(k, " "); now.Sub(t) >= alertAgain(of) {
				delete(a.told, k)
			}
		}
	}
	if len(a.told) >= alertMost {
		a.metrics.Alert(kind, "dropped")
		return
	}
	a.told[key] = now
	if a.url == "" {
		a.metrics.Alert(kind, "no webhook")
		return
	}
	if len(text) > alertText {
		text = strings.ToValidUTF8(text[:alertText], "") + "..."
	}
	select {
	case a.queue <- alert{kind, a.name, plan, text, now.UTC().Truncate(time.Second)}:
	default:
		a.metrics.Alert(kind, "dropped")
	}
}

// run sends alerts until ctx ends.
func (a *alerts) run(ctx context.Context) {
	defer a.client.CloseIdleConnections()
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-a.queue:
			err := a.send(ctx, x)
			if err == nil {
				a.metrics.Alert(x.Alert, "sent")
				continue
			}
			a.metrics.Alert(x.Alert, "failed")
			a.metrics.Failed("alert")
			a.log.Warn("an alert could not be sent", "alert", x.Alert, "error", err.Error())
		}
	}
}

// send posts an alert. Its errors do not hold the address, in which there may be a secret.
func (a *alerts) send(ctx context.Context, x alert) error {
	data, err := json.Marshal(x)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(data))
	if err != nil {
		return errors.New("the address of the webhook is malformed")
	}
	req.Header.Set("Content-Type", "application/json")
	r, err := a.client.Do(req)
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	if err != nil {
		return err
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 4<<10)) // so that the connection can be used again
	if r.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answers with status %d", r.StatusCode)
	}
	return nil
}
