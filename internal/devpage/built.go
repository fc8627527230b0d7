package devpage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// policy allows the built page to load its own files and to connect to its own gateway, and
// nothing else. In browsers 'self' includes WebSockets to the same host.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Job is a job in the list of the built page.
type Job struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Built serves the built job page from a folder, and a config.json with the jobs to list.
// It handles the path of the page, /config.json and /assets/. The error matches
// [os.ErrNotExist] if the page has not been built.
func Built(dir string, jobs []Job) (http.Handler, error) {
	if _, err := os.Stat(filepath.Join(dir, "index.html")); err != nil {
		return nil, fmt.Errorf("open the built page: %w", err)
	}
	config, err := json.Marshal(map[string]any{"gateway": "", "jobs": jobs, "help": HelpPath})
	if err != nil {
		return nil, fmt.Errorf("encode the page's config: %w", err)
	}
	assets := http.StripPrefix("/assets/", http.FileServer(http.Dir(filepath.Join(dir, "assets"))))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(config)
	})
	mux.HandleFunc("GET /assets/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable") // the names contain a hash
		assets.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Security-Policy", policy)
		http.ServeFile(w, r, filepath.Join(dir, "index.html"))
	})
	return mux, nil
}
