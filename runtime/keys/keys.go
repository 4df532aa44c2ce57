// Package keys makes and loads the certificates with which roles know each other. A role's certificate carries its name,
// as common name and DNS name; a client of role NAME is NAME-client.
package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// validity is how long development certificates last.
const validity = 90 * 24 * time.Hour

// ClientName returns the name of the client that acts for a party.
func ClientName(party string) string { return party + "-client" }

// Dev writes a fresh authority and one certificate and key per name into dir: ca.crt, NAME.crt, NAME.key. The authority's
// key is never written, so that nothing else can be signed. Existing files are not replaced.
func Dev(dir string, names []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var files []string
	for _, n := range names {
		if n == "" || n != filepath.Base(n) || n == "." || n == ".." || n == "ca" || n == "localhost" { // every certificate holds for localhost
			return fmt.Errorf("%q cannot name a certificate file", n)
		}
		files = append(files, n+".crt", n+".key")
	}
	for _, f := range append(files, "ca.crt") {
		if _, err := os.Lstat(filepath.Join(dir, f)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s exists already; choose an empty folder", filepath.Join(dir, f))
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "smpcc development authority"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(validity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, MaxPathLenZero: true,
	}
	if ca.SerialNumber, err = serial(); err != nil {
		return err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "ca.crt"), "CERTIFICATE", caDER, 0o644); err != nil {
		return err
	}
	for _, n := range names {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		c := &x509.Certificate{
			Subject: pkix.Name{CommonName: n}, DNSNames: []string{n, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
			NotBefore: now.Add(-time.Minute), NotAfter: now.Add(validity), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		}
		if c.SerialNumber, err = serial(); err != nil {
			return err
		}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
		if err != nil {
			return err
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		if err := errors.Join(writePEM(filepath.Join(dir, n+".crt"), "CERTIFICATE", der, 0o644), writePEM(filepath.Join(dir, n+".key"), "PRIVATE KEY", keyDER, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

func serial() (*big.Int, error) { return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)) }

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Close())
}

// Files name the certificates of one role.
type Files struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// DevFiles returns the files that Dev writes for a name.
func DevFiles(dir, name string) Files {
	return Files{CA: filepath.Join(dir, "ca.crt"), Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
}

// Load returns a TLS configuration for both sides of a connection, TLS 1.3 with certificates required of both, and the
// name in the certificate.
func Load(f Files) (*tls.Config, string, error) {
	pemCA, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, "", err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pemCA) {
		return nil, "", fmt.Errorf("%s: holds no certificate", f.CA)
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", f.Cert, err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", f.Cert, err)
	}
	name, err := nameOf(leaf)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", f.Cert, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}, name, nil
}

// PeerName returns the name in the verified certificate of the other side.
func PeerName(s tls.ConnectionState) (string, error) {
	if len(s.VerifiedChains) == 0 || len(s.PeerCertificates) == 0 {
		return "", errors.New("the other side has no verified certificate")
	}
	return nameOf(s.PeerCertificates[0])
}

func nameOf(c *x509.Certificate) (string, error) {
	if n := c.Subject.CommonName; n != "" && slices.Contains(c.DNSNames, n) {
		return n, nil
	}
	return "", fmt.Errorf("certificate of %q does not carry that name as DNS name; make it with subjectAltName=DNS:%[1]s", c.Subject.CommonName)
}
