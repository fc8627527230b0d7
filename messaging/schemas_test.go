package messaging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/letswriteabook/realtime/messaging"
)

// compileSchema compiles one schema of the package with its formats asserted.
func compileSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, path := range schemaPaths(t) {
		document := parseFile(t, path)
		if err := compiler.AddResource(document["$id"].(string), document); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile(parseFile(t, filepath.Join("schemas", name+".v1.json"))["$id"].(string))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func schemaPaths(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("schemas/*.v1.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("found %d schemas: %v", len(paths), err)
	}
	return paths
}

func parseFile(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text).(map[string]any)
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

func TestSchemasAreDocumented(t *testing.T) {
	t.Parallel()
	for _, path := range schemaPaths(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".v1.json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := parseFile(t, path)
			if got, want := document["$schema"], "https://json-schema.org/draft/2020-12/schema"; got != want {
				t.Errorf("$schema is %v, want %s", got, want)
			}
			if got, want := document["$id"], "https://github.com/letswriteabook/realtime/schemas/"+filepath.Base(path); got != want {
				t.Errorf("$id is %v, want %s", got, want)
			}
			requireDocumented(t, name, document)
			examples, _ := document["examples"].([]any)
			if len(examples) == 0 {
				t.Error("there is no example")
			}
			schema := compileSchema(t, name)
			for _, example := range examples {
				if err := schema.Validate(example); err != nil {
					t.Errorf("example %v: %v", example, err)
				}
			}
		})
	}
}

// requireDocumented requires a title and a description of a schema and of all
// its properties.
func requireDocumented(t *testing.T, name string, document map[string]any) {
	t.Helper()
	for _, keyword := range []string{"title", "description"} {
		if text, _ := document[keyword].(string); text == "" {
			t.Errorf("%s has no %s", name, keyword)
		}
	}
	properties, _ := document["properties"].(map[string]any)
	for property, schema := range properties {
		requireDocumented(t, name+"."+property, schema.(map[string]any))
	}
}

// What this package marshals is what the schemas say, and has no field that they
// do not name.
func TestSchemasMatchWhatIsMarshalled(t *testing.T) {
	t.Parallel()
	for name, payload := range controls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			base, _, _ := strings.Cut(name, ".")
			requireValid(t, base, text)
		})
	}
}

func TestSchemasMatchEnvelopesPayloadsAndTheirExamples(t *testing.T) {
	t.Parallel()
	event := map[string]string{"type": "t", "occurredAt": "now"}
	generation, err1 := messaging.NewGeneration("job-42", event)
	domain, err2 := messaging.NewDomain("job-42", event)
	status, err3 := messaging.NewJobStatus("job-42", "failed", map[string]int{"at": 7})
	queued, err4 := messaging.NewJobStatus("job-42", "queued", nil)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	for _, envelope := range []messaging.Envelope{generation, domain, status, queued} {
		envelope.ID = "e-1"
		envelope.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		envelope.EmittedAt = messaging.FormatTime(received)
		text, err := envelope.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := compileSchema(t, string(envelope.Kind)).Validate(parse(t, text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		record := envelope.Record(received)
		record.Sequence = 7
		payload, err := messaging.DefaultCatalogue().AppendPayload(nil, record)
		if err != nil {
			t.Fatal(err)
		}
		requireValid(t, string(envelope.Kind)+"-payload", payload)
	}
	for _, kind := range messaging.DefaultCatalogue().Kinds() {
		for _, example := range parseFile(t, "schemas/"+string(kind)+".v1.json")["examples"].([]any) {
			text, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			decode(t, messaging.DefaultCatalogue(), string(text))
		}
	}
}

// requireValid requires that text matches a schema and has no field beyond it.
func requireValid(t *testing.T, name string, text []byte) {
	t.Helper()
	schema := compileSchema(t, name)
	value := parse(t, text)
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	for field := range value.(map[string]any) {
		if schema.Properties[field] == nil {
			t.Errorf("%s: schema %s does not name the field %q", text, name, field)
		}
	}
}

func TestSchemaOfErrorsHasEveryCode(t *testing.T) {
	t.Parallel()
	want := []any{
		messaging.CodeOriginNotAllowed, messaging.CodeMaxConnectionsExceeded, messaging.CodeOriginConnectionsExceeded,
		messaging.CodeSubscriptionLimitReached, messaging.CodeIdleTimeout, messaging.CodeJobIDRequired,
		messaging.CodeJobIDInvalid, messaging.CodeSinceInvalid,
		messaging.CodeAddressConnectionsExceeded, messaging.CodeSubjectConnectionsExceeded, messaging.CodeConnectionRateExceeded,
		messaging.CodeMaxRequestsExceeded, messaging.CodeClientRequestsExceeded, messaging.CodeRequestRateExceeded,
		messaging.CodeMessageRateExceeded, messaging.CodeMessageTooLarge, messaging.CodeSubscriptionRateExceeded,
		messaging.CodeTokenRequired, messaging.CodeTokenInvalid, messaging.CodeTokenExpired, messaging.CodeTokenExpiring,
		messaging.CodeJobForbidden, messaging.CodeScopeRequired,
		messaging.CodeUnknownEvent, messaging.CodeInternal,
	}
	texts := make(map[string]messaging.Code, len(want))
	for _, value := range want {
		code := value.(messaging.Code)
		if other, taken := texts[code.Message()]; taken || code.Message() == "" {
			t.Errorf("the text of %s is %q, which is that of %q", code, code.Message(), other)
		}
		texts[code.Message()] = code
	}
	got := compileSchema(t, "error").Properties["code"].Enum.Values
	equal := slices.EqualFunc(got, want, func(a, b any) bool { return a == string(b.(messaging.Code)) })
	if !equal {
		t.Errorf("codes %v, want %v", got, want)
	}
}

func TestSchemaOfCatalogueFiles(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t, "catalogue-file")
	for _, path := range []string{"schemas/catalogue.json", "testdata/catalogues/notes.json"} {
		if err := schema.Validate(any(parseFile(t, path))); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
