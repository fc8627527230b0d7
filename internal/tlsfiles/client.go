package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Files are the paths of PEM files. The zero value names none.
type Files struct {
	// CA has the authorities whose certificates are accepted; empty: those of the system.
	CA string
	// Cert and Key are a certificate, with its chain, and its key. Both or neither are set.
	Cert, Key string
}

// Empty reports whether no file is named.
func (f Files) Empty() bool { return f == Files{} }

// Check reads the files and says what is wrong with them.
func (f Files) Check() error {
	_, err := f.Client()
	return err
}

// Client reads the files, and returns the settings of a client that accepts servers with
// a certificate of CA and shows its own where one is named. A caller that connects again
// calls it again, and so uses the files as they are then.
func (f Files) Client() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pool, err := Pool(f.CA)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = pool
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("a certificate and its key are needed together")
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// Pool reads the authorities in a file.
func Pool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}
