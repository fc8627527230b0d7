package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:3000", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", *addr)
	if err == nil {
		err = run(ctx, listener, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// stopTimeout bounds the end of the server once it is asked to stop.
const stopTimeout = 5 * time.Second

// run serves on listener, and closes it, until ctx ends.
func run(ctx context.Context, listener net.Listener, logger *slog.Logger) error {
	engine, err := newEngineIO(logger)
	if err != nil {
		return err
	}
	sockets, err := newSocketIO(logger)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/engine.io/", engine)
	mux.Handle("/socket.io/", sockets)
	logger.Info("listening", "addr", listener.Addr().String())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: stopTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }() // ended by Shutdown below
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return errors.Join(engine.Shutdown(ending), sockets.Shutdown(ending), server.Shutdown(ending))
}
