package console

import (
	"encoding/base64"
	"errors"
	"net"
	"testing"
	"time"
)

// TestTokens makes tokens and uses them rightly and in every other way.
func TestTokens(t *testing.T) {
	k, err := newTokens()
	if err != nil {
		t.Fatal(err)
	}
	other, err := newTokens()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	fresh := func() string {
		t.Helper()
		s, err := k.make("anna", "/requests/1/deny", now)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	changed := func(at int) string {
		b, err := base64.RawURLEncoding.DecodeString(fresh())
		if err != nil {
			t.Fatal(err)
		}
		b[at] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	used := fresh()
	if err := k.use(used, "anna", "/requests/1/deny", now); err != nil {
		t.Fatal(err)
	}
	for what, x := range map[string]struct {
		token, print, form string
		at                 time.Time
		want               error
	}{
		"none":                      {"", "anna", "/requests/1/deny", now, errNoToken},
		"no token":                  {"!!", "anna", "/requests/1/deny", now, errNoToken},
		"short":                     {fresh()[:20], "anna", "/requests/1/deny", now, errNoToken},
		"longer":                    {fresh() + "AAAA", "anna", "/requests/1/deny", now, errNoToken},
		"another number":            {changed(0), "anna", "/requests/1/deny", now, errNoToken},
		"a later end":               {changed(nonceSize + 2), "anna", "/requests/1/deny", now, errNoToken},
		"another proof":             {changed(nonceSize + 8), "anna", "/requests/1/deny", now, errNoToken},
		"somebody else's":           {fresh(), "otto", "/requests/1/deny", now, errNoToken},
		"another form's":            {fresh(), "anna", "/requests/1/approve", now, errNoToken},
		"fields that run together":  {fresh(), "anna/requests", "/1/deny", now, errNoToken},
		"used":                      {used, "anna", "/requests/1/deny", now, errUsedToken},
		"old":                       {fresh(), "anna", "/requests/1/deny", now.Add(tokenLife + time.Second), errOldToken},
		"at the end of its life":    {fresh(), "anna", "/requests/1/deny", now.Add(tokenLife - 2*time.Second), nil},
		"used, when nobody recalls": {used, "anna", "/requests/1/deny", now.Add(2 * tokenLife), errOldToken},
	} {
		if err := k.use(x.token, x.print, x.form, x.at); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", what, err, x.want)
		}
	}
	if err := other.use(fresh(), "anna", "/requests/1/deny", now); !errors.Is(err, errNoToken) {
		t.Errorf("another server's: %v", err)
	}
	for len(k.of) < maxUsed {
		if err := k.use(fresh(), "anna", "/requests/1/deny", now); err != nil {
			t.Fatal(err)
		}
	}
	last := fresh()
	if err := k.use(last, "anna", "/requests/1/deny", now); !errors.Is(err, errManyForms) {
		t.Errorf("too many: %v", err)
	}
	later := now.Add(tokenLife + time.Minute)
	if s, err := k.make("anna", "/", later); err != nil || k.use(s, "anna", "/", later) != nil || len(k.of) != 1 {
		t.Errorf("after their lives: %d are remembered, %v", len(k.of), err)
	}
}

// TestLobby lets in as many as there are places, the next one when somebody leaves, and nobody when it is closed.
func TestLobby(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newLobby(inner, 2)
	accepted, ended := make(chan net.Conn), make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	<-accepted
	select {
	case <-accepted:
		t.Error("a third is let in")
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	_ = first.Close() // which gives no second place
	<-accepted
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
