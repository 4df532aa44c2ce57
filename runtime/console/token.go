package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// A form carries a token: for one certificate, one form, once, for a time. Browsers add a person's certificate to requests that other sites have them send; they cannot add this.

// Times and numbers of tokens.
const (
	tokenLife = 30 * time.Minute
	maxUsed   = 1 << 14 // that are remembered; who has used more within a token's life waits
	nonceSize = 16
)

// tokens makes tokens, and knows which have been used.
type tokens struct {
	key [32]byte
	mu  sync.Mutex
	of  map[[nonceSize]byte]time.Time // used ones, and when they end
}

func newTokens() (*tokens, error) {
	t := &tokens{of: map[[nonceSize]byte]time.Time{}}
	_, err := rand.Read(t.key[:])
	return t, err
}

// sum is what a token proves.
func (t *tokens) sum(head []byte, print, form string) []byte {
	h := hmac.New(sha256.New, t.key[:])
	for _, b := range [][]byte{head, []byte(print), []byte(form)} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	return h.Sum(nil)
}

// make returns a token for a form, by its path, of the person with a certificate.
func (t *tokens) make(print, form string, now time.Time) (string, error) {
	head := make([]byte, nonceSize, nonceSize+8+sha256.Size)
	if _, err := rand.Read(head); err != nil {
		return "", err
	}
	head = binary.LittleEndian.AppendUint64(head, uint64(now.Add(tokenLife).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(head, t.sum(head, print, form)...)), nil
}

var (
	errNoToken   = errors.New("the form is not from a page of this console")
	errOldToken  = errors.New("the page is too old")
	errUsedToken = errors.New("the form has been sent already")
	errManyForms = errors.New("too many forms have been sent")
)

// use takes a token for a form, once.
func (t *tokens) use(token, print, form string, now time.Time) error {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != nonceSize+8+sha256.Size || !hmac.Equal(b[nonceSize+8:], t.sum(b[:nonceSize+8], print, form)) {
		return errNoToken
	}
	end := time.Unix(int64(binary.LittleEndian.Uint64(b[nonceSize:])), 0)
	if !now.Before(end) {
		return errOldToken
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	nonce := [nonceSize]byte(b)
	if _, used := t.of[nonce]; used {
		return errUsedToken
	}
	if len(t.of) >= maxUsed {
		for n, end := range t.of {
			if !now.Before(end) {
				delete(t.of, n)
			}
		}
		if len(t.of) >= maxUsed {
			return errManyForms
		}
	}
	t.of[nonce] = end
	return nil
}

// A lobby lets so many connections in at once; others wait outside.
type lobby struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newLobby(l net.Listener, n int) *lobby {
	return &lobby{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *lobby) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &caller{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// Close implements net.Listener.
func (l *lobby) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// A caller is a connection that has a place in a lobby.
type caller struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *caller) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
