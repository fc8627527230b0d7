package devpage

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed page.html
var source string

// HelpPath is where the page without a build step always is.
const HelpPath = "/dev"

// Info is what the page tells its reader.
type Info struct {
	// Job is the job that is shown first.
	Job string
	// Gateway is the base address of the gateway, such as http://localhost:3001.
	Gateway string
	// Redis is where events are published; Host and Port are its parts, for
	// redis-cli.
	RedisHost, RedisPort string
	// MongoURI and NATSURL are where the read models and the log can be seen.
	MongoURI, NATSURL string
	// Origin is an origin from which a browser may open a socket.
	Origin string
}

// Handler serves the page at any path that it is given.
func Handler(info Info) (http.Handler, error) {
	page, err := template.New("page").Parse(source)
	if err != nil {
		return nil, fmt.Errorf("parse the development page: %w", err)
	}
	var body bytes.Buffer
	if err := page.Execute(&body, info); err != nil {
		return nil, fmt.Errorf("render the development page: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body.Bytes())
	}), nil
}
