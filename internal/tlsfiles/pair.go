package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkInterval is how often at most the files of a [Pair] are looked at.
const checkInterval = time.Second

// Pair is the certificate of a server, which follows its files: a handshake that finds
// them changed reads them again. Handshakes between a change and the next look, one
// second at most, use the certificate before.
type Pair struct {
	files  Files
	logger *slog.Logger

	mu sync.Mutex // guards the fields below, and is held while the files are read
	// current is the newest certificate that could be read.
	current *tls.Certificate
	seen    [2]version // of the files at the last attempt
	checked time.Time
}

// version tells one state of a file from another.
type version struct {
	modified time.Time
	size     int64
}

// NewPair reads the certificate and the key. The error says what is wrong with them.
func NewPair(files Files, logger *slog.Logger) (*Pair, error) {
	p := &Pair{files: files, logger: logger}
	if _, err := p.Reload(); err != nil {
		return nil, err
	}
	return p, nil
}

// Server returns the settings of a server with this certificate and TLS 1.2 or newer.
func (p *Pair) Server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return p.certificate(), nil
	}}
}

// Leaf returns the certificate that a handshake gets now.
func (p *Pair) Leaf() *x509.Certificate { return p.certificate().Leaf }

// Reload reads the files now, and reports whether the certificate is another one. After
// an error the one before stays in use.
func (p *Pair) Reload() (changed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checked, p.seen = time.Now(), p.versions()
	return p.read()
}

// certificate returns the newest certificate.
func (p *Pair) certificate() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.checked) < checkInterval {
		return p.current
	}
	p.checked = time.Now()
	versions := p.versions()
	if versions == p.seen {
		return p.current
	}
	p.seen = versions
	switch changed, err := p.read(); {
	case err != nil:
		p.logger.Error("the new certificate cannot be used; the one before stays in use", "file", p.files.Cert, "error", err)
	case changed:
		p.logger.Info("the certificate was replaced", "file", p.files.Cert, "until", p.current.Leaf.NotAfter)
	}
	return p.current
}

// read replaces the certificate by that in the files. The caller holds mu.
func (p *Pair) read() (changed bool, err error) {
	pair, err := tls.LoadX509KeyPair(p.files.Cert, p.files.Key)
	if err != nil {
		return false, err
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return false, fmt.Errorf("%s expired at %s", p.files.Cert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	changed = p.current == nil || !pair.Leaf.Equal(p.current.Leaf)
	p.current = &pair
	return changed, nil
}

// versions returns the state of both files, zero for one that is absent.
func (p *Pair) versions() (v [2]version) {
	for i, file := range []string{p.files.Cert, p.files.Key} {
		if info, err := os.Stat(file); err == nil {
			v[i] = version{info.ModTime(), info.Size()}
		}
	}
	return v
}
