package processes_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/processes"
)

// A connection from inside a network works, falls silent with the cable out, without
// an error on either side, and goes on where it was.
func TestNetwork(t *testing.T) {
	t.Parallel()
	network, err := processes.NewNetwork(within(t))
	if errors.Is(err, processes.ErrNoNetwork) {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	listener, err := net.Listen("tcp", net.JoinHostPort(network.Addr(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	client, err := network.Dial(within(t), &net.Dialer{Timeout: time.Minute}, "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	say := func(text string) {
		t.Helper()
		if _, err := server.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(patience time.Duration) (string, error) {
		t.Helper()
		if err := client.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 16)
		n, err := client.Read(buffer)
		return string(buffer[:n]), err
	}
	say("a")
	if got, err := hear(time.Minute); got != "a" || err != nil {
		t.Fatalf("heard %q, %v", got, err)
	}
	if err := network.Cut(within(t)); err != nil {
		t.Fatal(err)
	}
	say("b")
	if got, err := hear(300 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %q, %v, with the cable out", got, err)
	}
	if err := network.Mend(within(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := hear(time.Minute); got != "b" || err != nil {
		t.Fatalf("heard %q, %v, with the cable in again", got, err)
	}
}
