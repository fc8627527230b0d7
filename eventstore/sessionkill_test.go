package eventstore_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// childFolder makes this test binary a gateway that saves sessions into a folder
// until it is killed.
const childFolder = "EVENTSTORE_TEST_FOLDER"

const (
	// quietSessions are saved in quietRounds rounds and then left alone;
	// busySessions are saved until the end.
	quietSessions = 1000
	quietRounds   = 3
	busySessions  = 1000
)

// saveUntilKilled prints the number of each round of which all saves were stored.
func saveUntilKilled(dir string) error {
	server, err := natsserver.Start(natsserver.Config{StoreDir: dir, SyncAlways: true})
	if err != nil {
		return err
	}
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		return err
	}
	ctx := context.Background()
	log, err := eventstore.Open(ctx, conn, eventstore.DefaultConfig(), nil, nil)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	store, err := sessions.Open(ctx, log, sessions.DefaultConfig(), nil, reg)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }() // Ends with the process.
	for round := 0; ; round++ {
		for i := range quietSessions {
			if round < quietRounds {
				store.Save(sessionID(i), []byte(strconv.Itoa(round)))
			}
		}
		for i := range busySessions {
			store.Save(sessionID(quietSessions+i), []byte(strconv.Itoa(round)))
		}
		for waiting := -1.0; waiting != 0; {
			families, err := reg.Gather()
			if err != nil {
				return err
			}
			for _, family := range families {
				if family.GetName() == "realtime_eventstore_session_waiting_saves" {
					waiting = family.GetMetric()[0].GetGauge().GetValue()
				}
			}
		}
		fmt.Println(round)
		select {
		case err := <-ended:
			return err
		default:
		}
	}
}

// A gateway and its embedded server are killed while they save: what had been
// stored for a moment is there when the folder is opened again.
func TestSessionsOfAKilledProcess(t *testing.T) {
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
	// written is well beyond the time within which the server writes, provided that
	// it runs: the rounds say so.
	const written, ran = 500 * time.Millisecond, 3
	var (
		left   time.Time // When the quiet store had been left alone.
		last   int
		killed bool
	)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Errorf("child says %q", lines.Text())
		}
		switch {
		case left.IsZero() && last >= quietRounds-1:
			left = time.Now()
		case !left.IsZero() && !killed && time.Since(left) > written && last >= quietRounds+ran:
			killed = true
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || !killed {
		t.Fatalf("the child was not killed: %v", err)
	}

	server := startServer(t, natsserver.Config{StoreDir: dir, SyncAlways: true})
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b := open(t, conn)
	store := b.openSessions(t)
	for i := range quietSessions {
		mustLoad(t, store, sessionID(i), strconv.Itoa(quietRounds-1))
	}
	gone, older := 0, 0
	for i := range busySessions {
		state, found, err := store.Load(t.Context(), sessionID(quietSessions+i))
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			gone++
			continue
		}
		round, err := strconv.Atoi(string(state))
		if err != nil || round > last+1 {
			t.Errorf("state is %q after round %d", state, last)
		}
		if round < last {
			older++
		}
	}
	if gone > busySessions/2 {
		t.Errorf("of %d sessions that were being saved %d are gone", busySessions, gone)
	}
	t.Logf("killed after round %d: of %d store that were being saved %d are gone and %d older than acknowledged", last, busySessions, gone, older)

	// The bucket goes on.
	runSessions(t, store)
	store.Save(sessionID(0), []byte("after"))
	b.settled(t)
	mustLoad(t, store, sessionID(0), "after")
}
