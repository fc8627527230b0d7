package projections_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/projections"
)

// What the driver writes where the environment asks for it goes to the logger, without
// the documents, and not to standard error.
func TestLinesOfTheDriver(t *testing.T) {
	t.Setenv("MONGODB_LOG_ALL", "debug") // and so not parallel
	uri := mongokit.URI()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = write
	var logs logLines
	db, err := projections.ConnectLogged(uri, slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	os.Stderr = stderr
	if err != nil {
		t.Fatal(err)
	}
	found := db.Collection("lines").FindOne(t.Context(), bson.D{{Key: "_id", Value: "private text"}})
	if err := found.Err(); err == nil {
		t.Error("a document was found")
	}
	if err := db.Client().Disconnect(context.Background()); err != nil {
		t.Error(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 1024)
	if n, _ := read.Read(raw); n > 0 {
		t.Errorf("on standard error: %s", raw[:n])
	}
	if text := logs.String(); !strings.Contains(text, `"msg":"mongodb driver"`) || !strings.Contains(text, "Command started") || strings.Contains(text, "private text") {
		t.Errorf("logged:\n%.2000s", text)
	}
}
