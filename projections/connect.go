package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

// defaultDatabase is used when the connection string names no database, as MongoDB's
// drivers for JavaScript do, which the workers use.
const defaultDatabase = "test"

const srvScheme = "mongodb+srv://"

// CheckURI reports whether the driver would take a connection string, without using the
// network. Of mongodb+srv:// it checks what needs no look-up. The error is
// [ErrInvalidURI].
func CheckURI(uri string) error {
	plain, err := withoutLookup(uri)
	if err != nil {
		return err
	}
	client := options.Client().ApplyURI(plain)
	if err := client.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidURI, err)
	}
	return nil
}

// TLSFiles returns the files that a connection string names: the authorities whose
// certificates the server may show, and the client's certificate with its key. It returns
// nothing for a string that cannot be read.
func TLSFiles(uri string) (authorities, certificate string) {
	plain, err := withoutLookup(uri)
	if err != nil {
		return "", ""
	}
	parsed, err := connstring.Parse(plain)
	if err != nil {
		return "", ""
	}
	return parsed.SSLCaFile, parsed.SSLClientCertificateKeyFile
}

// Connect returns the database that the connection string names, or
// defaultDatabase. It does not wait for MongoDB, which may be down. The client's
// goroutines run until the caller calls its Disconnect. Connect returns [ErrInvalidURI] for
// a string that the driver does not take.
//
// The driver looks the servers of mongodb+srv:// up once, and refuses the string when
// no name server answers. Then the name is looked up for each connection, until the servers
// have reported their names. The options of the TXT record are missing in this case
// until the next start.
func Connect(uri string) (*mongo.Database, error) {
	return ConnectLogged(uri, slog.New(slog.DiscardHandler))
}

// ConnectLogged is [Connect] with a logger for the lines that the driver writes of its
// own accord.
func ConnectLogged(uri string, logger *slog.Logger) (*mongo.Database, error) {
	if err := CheckURI(uri); err != nil {
		return nil, err
	}
	parsed, err := connstring.ParseAndValidate(uri)
	opts := options.Client()
	if err != nil && strings.HasPrefix(uri, srvScheme) && isLookup(err) {
		plain, invalid := withoutLookup(uri)
		if invalid != nil {
			return nil, invalid
		}
		if parsed, err = connstring.ParseAndValidate(plain); err == nil {
			opts.ApplyURI(plain).SetDialer(srvDialer{name: strings.TrimSuffix(parsed.Hosts[0], ":27017")})
		}
	} else if err == nil {
		opts.ApplyURI(uri)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidURI, err)
	}
	client, err := mongo.Connect(opts.SetAppName("realtime").SetLoggerOptions(options.Logger().SetSink(driverLog{logger})))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidURI, err)
	}
	return client.Database(cmp.Or(parsed.Database, defaultDatabase)), nil
}

// NamesDatabase reports whether a connection string that [Connect] takes names a
// database.
func NamesDatabase(uri string) bool {
	plain, err := withoutLookup(uri)
	if err != nil {
		return false
	}
	parsed, err := connstring.Parse(plain)
	return err == nil && parsed.Database != ""
}

// isLookup reports whether an error is that of a name server.
func isLookup(err error) bool {
	var lookup *net.DNSError
	return errors.As(err, &lookup) || strings.Contains(err.Error(), "lookup ") || strings.Contains(err.Error(), "SRV")
}

// withoutLookup returns a string of mongodb+srv:// as one of mongodb:// with the same
// options, TLS among them, and any other as it is.
func withoutLookup(uri string) (string, error) {
	rest, srv := strings.CutPrefix(uri, srvScheme)
	if !srv {
		return uri, nil
	}
	address, query, _ := strings.Cut(rest, "?")
	if host, _, _ := strings.Cut(address[strings.LastIndex(address, "@")+1:], "/"); host == "" || strings.ContainsAny(host, ",:") {
		return "", fmt.Errorf("%w: mongodb+srv:// takes one name, and no port", ErrInvalidURI)
	}
	if !strings.Contains(address[strings.LastIndex(address, "@")+1:], "/") {
		address += "/"
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("%w: its options cannot be read", ErrInvalidURI)
	}
	options.Del("srvServiceName")
	options.Del("srvMaxHosts")
	if !options.Has("tls") && !options.Has("ssl") {
		options.Set("tls", "true")
	}
	return "mongodb://" + address + "?" + options.Encode(), nil
}

// srvDialer connects to a server of a name that is looked up for each connection, and
// to any other address as it is.
type srvDialer struct{ name string }

// DialContext implements [options.ContextDialer].
func (d srvDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	if host, _, err := net.SplitHostPort(address); err != nil || host != d.name {
		return dialer.DialContext(ctx, network, address)
	}
	_, servers, err := net.DefaultResolver.LookupSRV(ctx, "mongodb", "tcp", d.name)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, server := range servers {
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(strings.TrimSuffix(server.Target, "."), strconv.Itoa(int(server.Port))))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}
