package devpage

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed page.html
var source string

// HelpPath is the path of the page without a build step.
const HelpPath = "/dev"

// Info is the information that the page shows.
type Info struct {
	// Job is the job that is shown first.
	Job string
	// Gateway is the base address of the gateway, such as http://localhost:3001.
	Gateway string
	// Redis is where events are published; Host and Port are its parts, for
	// redis-cli.
	RedisHost, RedisPort string
	// MongoURI and NATSURL are the addresses of the read models and the log.
	MongoURI, NATSURL string
	// Origin is an origin from which a browser may open a socket.
	Origin string
}

// Handler serves the page at any path.
func Handler(info Info) (http.Handler, error) {
	page, err := template.New("page").Parse(source)
	if err != nil {
		return nil, fmt.Errorf("parse the development page: %w", err)
	}
	var body bytes.Buffer
	if err := page.Execute(&body, info); err != nil {
		return nil, fmt.Errorf("render the development page: %w", err)
	}
	own := pagePolicy(body.Bytes())
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", own)
		_, _ = w.Write(body.Bytes())
	}), nil
}

// pagePolicy allows the inline script and style of the page by their hashes (CSP Level 3,
// section 2.3.1), and requests to the gateway that serves the page.
func pagePolicy(page []byte) string {
	inline := func(element string) string {
		_, rest, _ := bytes.Cut(page, []byte("<"+element+">"))
		content, _, _ := bytes.Cut(rest, []byte("</"+element+">"))
		sum := sha256.Sum256(content)
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + inline("script") + "; style-src " + inline("style") +
		"; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
