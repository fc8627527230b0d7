package console

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// Prefix is where the console is. Its assets are below it; its views are fragments of one
// page, which no server is sent.
const Prefix = "/internal/console"

// policy allows the page to load its own files and to ask its own host, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// dist is what "npm run build --prefix web" writes. A clean clone has the folder with
// .gitkeep alone, so that Go builds without Node.
//
//go:embed all:dist
var dist embed.FS

// unbuilt is the page of a binary that was built without the console.
const unbuilt = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>The console is not built</title>
<h1>This binary was built without the console</h1>
<p>With Node 20, build the console and then the binary:</p>
<pre>npm ci --prefix web --ignore-scripts
npm run build --prefix web
go build -o bin/ ./cmd/realtime</pre>
<p>Releases have the console. The operators' API works without it: <a href="../api/v1/openapi.json">its OpenAPI document</a>.</p>
</html>
`

// Register adds the console to a mux. It has no data of its own, and needs no token: what it
// shows is answered by the operators' API, which does.
func Register(mux *http.ServeMux) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the path is a constant
	}
	register(mux, files)
}

// register serves a folder as the build leaves it.
func register(mux *http.ServeMux, files fs.FS) {
	page, err := fs.ReadFile(files, "index.html")
	if err != nil {
		page = []byte(unbuilt)
	}
	mux.HandleFunc("GET "+Prefix+"/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		serve(w, r, "index.html", page)
	})
	mux.HandleFunc("GET "+Prefix+"/assets/{file}", func(w http.ResponseWriter, r *http.Request) {
		name := path.Join("assets", path.Base(r.PathValue("file")))
		content, err := fs.ReadFile(files, name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		serve(w, r, name, content)
	})
	mux.HandleFunc("GET "+Prefix+"/licences.txt", func(w http.ResponseWriter, r *http.Request) {
		content, err := fs.ReadFile(files, "licences.txt")
		if err != nil {
			http.NotFound(w, r)
			return
		}
		serve(w, r, "licences.txt", content)
	})
}

// serve answers with a file. Names of assets contain a hash of their content.
func serve(w http.ResponseWriter, r *http.Request, name string, content []byte) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cache-Control", "no-cache")
	if path.Dir(name) == "assets" {
		header.Set("Cache-Control", "max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}
