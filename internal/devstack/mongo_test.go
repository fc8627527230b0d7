package devstack_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/internal/devstack"
)

func startMongo(t testing.TB, cfg devstack.MongoConfig) *devstack.Mongo {
	t.Helper()
	server, err := devstack.StartMongo(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeMongo(t, server) })
	return server
}

func closeMongo(t testing.TB, server *devstack.Mongo) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.Close(ctx); err != nil {
		t.Error(err)
	}
}

// within calls f with the database that the server's URI names.
func within(t testing.TB, server *devstack.Mongo, f func(*mongo.Database)) {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.Background()) }()
	f(client.Database(devstack.Database))
}

func TestMongoKeepsItsFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a folder", "mongodb")
	var logs bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logs, nil))

	first := startMongo(t, devstack.MongoConfig{Addr: "127.0.0.1:0", Dir: dir, Logger: logger})
	if !strings.HasPrefix(first.URI(), "mongodb://127.0.0.1:") || !strings.HasSuffix(first.URI(), "/realtime") {
		t.Errorf("URI is %q", first.URI())
	}
	within(t, first, func(db *mongo.Database) {
		if _, err := db.Collection("c").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "x"}}); err != nil {
			t.Error(err)
		}
	})
	closeMongo(t, first)
	closeMongo(t, first) // harmless

	second := startMongo(t, devstack.MongoConfig{Addr: "127.0.0.1:0", Dir: dir})
	within(t, second, func(db *mongo.Database) {
		if n, err := db.Collection("c").CountDocuments(t.Context(), bson.D{}); err != nil || n != 1 {
			t.Errorf("%d documents after the restart, %v; want 1", n, err)
		}
	})
	closeMongo(t, second)
	if logs.Len() > 0 {
		t.Errorf("an uneventful server logged:\n%s", logs.String())
	}
}

func TestSeveralMongos(t *testing.T) {
	t.Parallel()
	a := startMongo(t, devstack.MongoConfig{Addr: "127.0.0.1:0", Dir: t.TempDir()})
	b := startMongo(t, devstack.MongoConfig{Addr: "127.0.0.1:0", Dir: t.TempDir()})
	within(t, a, func(db *mongo.Database) {
		if _, err := db.Collection("c").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "x"}}); err != nil {
			t.Error(err)
		}
	})
	within(t, b, func(db *mongo.Database) {
		if n, err := db.Collection("c").CountDocuments(t.Context(), bson.D{}); err != nil || n != 0 {
			t.Errorf("%d documents in the other server, %v; want 0", n, err)
		}
	})
}

func TestTakenAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	if _, err := devstack.StartMongo(t.Context(), devstack.MongoConfig{Addr: addr, Dir: t.TempDir()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("StartMongo on a taken address: %v, want EADDRINUSE", err)
	}
	if _, err := devstack.StartRedis(devstack.RedisConfig{Addr: addr}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("StartRedis on a taken address: %v, want EADDRINUSE", err)
	}
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	for field, start := range map[string]func() error{
		"MongoConfig.Addr": func() error {
			_, err := devstack.StartMongo(t.Context(), devstack.MongoConfig{Dir: "x"})
			return err
		},
		"MongoConfig.Dir": func() error {
			_, err := devstack.StartMongo(t.Context(), devstack.MongoConfig{Addr: "127.0.0.1:0"})
			return err
		},
		"RedisConfig.Addr": func() error { _, err := devstack.StartRedis(devstack.RedisConfig{}); return err },
	} {
		if err := start(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("without %s: %v", field, err)
		}
	}
}
