package natsserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/internal/natsserver"
)

// childFolder makes this test binary a process that writes into a folder until
// it is killed.
const childFolder = "NATSSERVER_TEST_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// writeUntilKilled prints the sequence of each message that was acknowledged.
func writeUntilKilled(dir string) error {
	server, err := natsserver.Start(natsserver.Config{StoreDir: dir})
	if err != nil {
		return err
	}
	conn, err := server.Conn()
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		return err
	}
	for {
		ack, err := js.Publish(ctx, "s", []byte("x"))
		if err != nil {
			return err
		}
		fmt.Println(ack.Sequence)
	}
}

// A folder belongs to its process until that dies, however it dies, and then
// has everything that was acknowledged.
func TestFolderOfAKilledProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged uint64
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
			t.Errorf("child says %q", lines.Text())
		}
		if acknowledged == 200 {
			if _, err := natsserver.Start(natsserver.Config{StoreDir: dir}); !errors.Is(err, natsserver.ErrFolderInUse) {
				t.Errorf("beside a living process: %v", err)
			}
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil {
		t.Error("the child was not killed")
	}
	if acknowledged < 200 {
		t.Fatalf("the child wrote %d messages", acknowledged)
	}
	if got := stored(t, start(t, natsserver.Config{StoreDir: dir})); got <= acknowledged {
		t.Errorf("%d messages, want more than %d", got, acknowledged)
	}
}
