package config

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/letswriteabook/realtime/internal/address"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/redisdial"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
	"github.com/letswriteabook/realtime/projections"
)

// Redis returns where Redis is.
func (c Config) Redis() redisdial.Config {
	return redisdial.Config{
		URL: c.RedisURL, Mode: redisdial.Mode(c.RedisMode), MasterName: c.RedisMaster,
		SentinelUser: c.RedisWatchers, SentinelPassword: c.RedisWatch,
		TLS: tlsfiles.Files{CA: c.RedisCA, Cert: c.RedisCert, Key: c.RedisKey},
	}
}

// ServerTLS returns the files of the public port's certificate.
func (c Config) ServerTLS() tlsfiles.Files { return tlsfiles.Files{Cert: c.TLSCert, Key: c.TLSKey} }

// Embedded returns the cluster and the users of the embedded JetStream.
func (c Config) Embedded() (natsserver.Cluster, natsserver.Users, error) {
	users := natsserver.Users{Name: c.NATSUser, Password: c.NATSPassword, TLS: c.NATSTLS()}
	if c.NATSCluster == "" {
		return natsserver.Cluster{}, users, nil
	}
	cluster := natsserver.Cluster{Listen: c.NATSClusterListen, Node: c.NATSNode}
	for place := range strings.SplitSeq(c.NATSCluster, ",") {
		cluster.Routes = append(cluster.Routes, strings.TrimSpace(place))
	}
	if cluster.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			return cluster, users, fmt.Errorf("NATS_NODE is not set: %w", err)
		}
		cluster.Node, _, _ = strings.Cut(host, ".")
	}
	return cluster, users, nil
}

// guardsNATS reports whether whoever reaches the embedded JetStream needs a password or a
// certificate.
func (c Config) guardsNATS() bool { return c.NATSUser != "" || c.NATSCert != "" && c.NATSCA != "" }

// LogAlone reports whether the log is in this process and nowhere else.
func (c Config) LogAlone() bool { return c.NATSURL == "" && c.NATSCluster == "" }

// InProduction reports whether ENVIRONMENT is production.
func (c Config) InProduction() bool { return c.Environment == environmentProduction }

// NATSTLS returns the files for TLS with NATS.
func (c Config) NATSTLS() tlsfiles.Files {
	return tlsfiles.Files{CA: c.NATSCA, Cert: c.NATSCert, Key: c.NATSKey}
}

// checkCredentials reads the files that connections to the backends need.
func (c Config) checkCredentials() (problems []error) {
	wrong := func(name string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	if c.TLSCert != "" || c.TLSKey != "" {
		_, err := tlsfiles.NewPair(c.ServerTLS(), slog.New(slog.DiscardHandler))
		wrong("TLS_CERT_FILE and TLS_KEY_FILE", err)
	}
	wrong("ACME_CA_FILE", tlsfiles.Files{CA: c.ACMECA}.Check())
	for _, backend := range []struct {
		prefix string
		files  tlsfiles.Files
	}{{"REDIS_TLS", c.Redis().TLS}, {"NATS_TLS", c.NATSTLS()}} {
		prefix, files := backend.prefix, backend.files
		if files.CA != "" {
			_, err := tlsfiles.Pool(files.CA)
			wrong(prefix+"_CA_FILE", err)
		}
		files.CA = ""
		wrong(prefix+"_CERT_FILE and "+prefix+"_KEY_FILE", files.Check())
	}
	if c.NATSCreds != "" {
		wrong("NATS_CREDS_FILE", holds(c.NATSCreds, func(text []byte) error {
			_, err := nkeys.ParseDecoratedUserNKey(text)
			return err
		}))
	}
	if c.NATSNkey != "" {
		wrong("NATS_NKEY_FILE", holds(c.NATSNkey, func(text []byte) error {
			_, err := nkeys.ParseDecoratedNKey(text)
			return err
		}))
	}
	return problems
}

// checkMongoFiles reads the files that MONGODB_URI names. An address in which it is not
// certain where a password ends names none: a part of the password would be shown.
func (c Config) checkMongoFiles() (problems []error) {
	if c.MongoDBURI == "" || address.Check(c.MongoDBURI) != nil {
		return nil
	}
	authorities, certificate := projections.TLSFiles(c.MongoDBURI)
	if authorities != "" {
		if _, err := tlsfiles.Pool(authorities); err != nil {
			problems = append(problems, fmt.Errorf("MONGODB_URI: tlsCAFile: %w: set it to a file with certificates in PEM", err))
		}
	}
	if certificate != "" {
		if _, err := readBounded(certificate); err != nil {
			problems = append(problems, fmt.Errorf("MONGODB_URI: tlsCertificateKeyFile: %w: set it to a file with a certificate and its key in PEM", err))
		}
	}
	return problems
}

// holds reports what is wrong with a file of credentials, and shows nothing of it.
func holds(file string, parse func([]byte) error) error {
	text, err := readBounded(file)
	if err != nil {
		return err
	}
	if parse(text) != nil {
		return fmt.Errorf("%s has no seed of a user in it", file)
	}
	return nil
}

// conflictingCredentials finds users and files that have no effect, or exclude each other.
func (c Config) conflictingCredentials(add func(is, legal bool, format string, args ...any)) {
	add(c.ProxyProto && c.TrustedProxies == "", false,
		"PROXY_PROTOCOL is true and TRUSTED_PROXIES is empty: no client could connect, because a sender of the header can name any address")
	add(c.ProxyProto && c.AdminAddr == "", true,
		"PROXY_PROTOCOL is true and ADMIN_ADDR is empty: a health check has to come through a proxy; with ADMIN_ADDR it has an address of its own")
	add(c.NATSCluster != "" && c.NATSURL != "", false, "NATS_CLUSTER and NATS_URL are set: the log is in this process and its like, or on servers apart")
	add(c.NATSCluster != "" && c.LogReplicas == 1, true,
		"NATS_CLUSTER is set and STREAM_REPLICAS is 1: each event is on one gateway only, and away while that is; set 3")
	add(c.NATSURL == "" && (c.NATSCreds != "" || c.NATSNkey != "" || c.NATSToken != ""), true,
		"NATS_CREDS_FILE, NATS_NKEY_FILE and NATS_TOKEN have no effect without NATS_URL: the JetStream in this process takes NATS_USER and certificates")
	add(c.NATSURL == "" && c.NATSDomain != "", true, "NATS_JS_DOMAIN has no effect without NATS_URL: the JetStream in this process holds the log")
	ways := 0
	for _, way := range []string{c.NATSCreds, c.NATSNkey, c.NATSUser, c.NATSToken} {
		if way != "" {
			ways++
		}
	}
	add(ways > 1, false, "more than one of NATS_CREDS_FILE, NATS_NKEY_FILE, NATS_USER and NATS_TOKEN is set: NATS takes one of them")
	add((c.NATSUser == "") != (c.NATSPassword == ""), false, "NATS_USER and NATS_PASSWORD are needed together")
	add(c.RedisURL != "" && c.Redis().Mode == redisdial.Sentinel && c.RedisMaster == "", false,
		"REDIS_MODE is sentinel and REDIS_SENTINEL_MASTER is empty: Sentinels are asked for a primary by its name")
}
