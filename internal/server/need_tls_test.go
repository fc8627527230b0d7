package server_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// TestMongoDBOverTLS: a gateway stores events in a MongoDB that takes TLS with client
// certificates only, and health and the metric name what is wrong with the certificates.
func TestMongoDBOverTLS(t *testing.T) {
	t.Parallel()
	authority, stranger := testkit.NewAuthority(t), testkit.NewAuthority(t)
	cert, key := authority.Issue("mongodb")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := tlsfiles.Pool(authority.File)
	if err != nil {
		t.Fatal(err)
	}
	secured := mongokit.WithTLS(t, mongokit.URI(), &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	})
	// own is a certificate and its key in one file, as the driver takes them.
	own := func(authority *testkit.Authority) string {
		var both []byte
		cert, key := authority.Issue("gateway")
		for _, file := range []string{cert, key} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, text...)
		}
		file := filepath.Join(t.TempDir(), "gateway.pem")
		if err := os.WriteFile(file, both, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	base, _, _ := strings.Cut(strings.TrimPrefix(secured, "mongodb://"), "/")
	uri := func(options string) string {
		return fmt.Sprintf("mongodb://%s/%s?serverSelectionTimeoutMS=2000&%s", base, mongokit.DatabaseName(t), options)
	}
	trusted := "tls=true&tlsCAFile=" + authority.File

	n := startNeeding(t, map[string]string{"MONGODB_URI": uri(trusted + "&tlsCertificateKeyFile=" + own(authority))})
	stored := mongokit.Database(t).Collection("novel_job_events")
	n.published("job-1", "first")
	n.until("the event is in MongoDB", func() error {
		count, err := stored.CountDocuments(t.Context(), bson.D{{Key: "jobId", Value: "job-1"}})
		if err != nil || count != 1 {
			return fmt.Errorf("%d documents, %w", count, err)
		}
		return n.well(nothing)
	})
	for options, says := range map[string]string{
		trusted: "set tlsCertificateKeyFile",
		trusted + "&tlsCertificateKeyFile=" + own(stranger):                                "set tlsCertificateKeyFile",
		"tls=true&tlsCAFile=" + stranger.File + "&tlsCertificateKeyFile=" + own(authority): "the certificate of the MongoDB server cannot be verified",
	} {
		refused := startNeeding(t, map[string]string{"MONGODB_URI": uri(options)})
		refused.until("health names "+says, func() error {
			state, parts := refused.health()
			sample := "\n" + `realtime_app_canary_failing{cause="tls",leg="mongodb"} 1` + "\n"
			if metrics := refused.get("/metrics"); state != "degraded" || !strings.Contains(parts["mongodb"], says) || !strings.Contains(metrics, sample) {
				return fmt.Errorf("%s %v", state, parts)
			}
			return nil
		})
	}
}
