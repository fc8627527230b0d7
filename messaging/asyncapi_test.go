package messaging_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/letswriteabook/realtime/messaging"
)

var updateMessages = flag.Bool("update", false, "write docs/contracts/messages.md")

const (
	contractDocument = "../docs/contracts/asyncapi.yaml"
	messagesPage     = "../docs/contracts/messages.md"
)

// asyncAPI is what these tests read of the AsyncAPI document. The end-to-end tests check the
// whole of it with the parser of its authors.
type asyncAPI struct {
	Channels   ordered[apiChannel] `yaml:"channels"`
	Operations ordered[struct {
		Action   string   `yaml:"action"`
		Summary  string   `yaml:"summary"`
		Channel  apiRef   `yaml:"channel"`
		Messages []apiRef `yaml:"messages"`
	}] `yaml:"operations"`
	Components struct {
		Messages ordered[apiMessage] `yaml:"messages"`
	} `yaml:"components"`
}

type apiRef struct {
	Ref string `yaml:"$ref"`
}

type apiChannel struct {
	Address     string          `yaml:"address"`
	Title       string          `yaml:"title"`
	Description string          `yaml:"description"`
	Messages    ordered[apiRef] `yaml:"messages"`
}

type apiMessage struct {
	Name    string `yaml:"name"`
	Summary string `yaml:"summary"`
	Payload apiRef `yaml:"payload"`
}

// ordered is a mapping that keeps the order of its keys.
type ordered[T any] struct {
	keys   []string
	values map[string]T
}

func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	o.values = make(map[string]T)
	for i := 0; i+1 < len(node.Content); i += 2 {
		var value T
		if err := node.Content[i+1].Decode(&value); err != nil {
			return err
		}
		o.keys = append(o.keys, node.Content[i].Value)
		o.values[node.Content[i].Value] = value
	}
	return nil
}

func readContract(t *testing.T) asyncAPI {
	t.Helper()
	text, err := os.ReadFile(contractDocument)
	if err != nil {
		t.Fatal(err)
	}
	var contract asyncAPI
	if err := yaml.Unmarshal(text, &contract); err != nil {
		t.Fatal(err)
	}
	return contract
}

// message returns the message that a channel refers to.
func (a asyncAPI) message(t *testing.T, ref apiRef) apiMessage {
	t.Helper()
	found, ok := a.Components.Messages.values[strings.TrimPrefix(ref.Ref, "#/components/messages/")]
	if !ok {
		t.Fatalf("there is no message %s", ref.Ref)
	}
	return found
}

// names returns the names of a channel's messages, sorted.
func (a asyncAPI) names(t *testing.T, channel string) []string {
	t.Helper()
	var names []string
	for _, ref := range a.Channels.values[channel].Messages.values {
		names = append(names, a.message(t, ref).Name)
	}
	slices.Sort(names)
	return names
}

// TestContractDocument: the AsyncAPI document has the channels, kinds and events of this
// package and no others, and uses each schema of the contract.
func TestContractDocument(t *testing.T) {
	t.Parallel()
	contract := readContract(t)
	var kinds, events []string
	for _, kind := range messaging.DefaultCatalogue().Kinds() {
		kinds = append(kinds, string(kind))
		name, _ := messaging.DefaultCatalogue().SocketEvent(kind)
		events = append(events, name)
	}
	slices.Sort(kinds)
	stream := append([]string{messaging.EventCaughtUp, messaging.EventGap, messaging.EventError}, events...)
	slices.Sort(stream)
	socket := append([]string{
		messaging.EventSubscribe, messaging.EventUnsubscribe, messaging.EventPing, messaging.EventRefresh,
		messaging.EventSubscribed, messaging.EventUnsubscribed, messaging.EventPong,
	}, stream...)
	slices.Sort(socket)
	for channel, want := range map[string]struct {
		address string
		names   []string
	}{
		"events":   {"novel.realtime.events", kinds},
		"receipts": {"novel.realtime.receipts", []string{"receipt", "refusal"}},
		"socket":   {"/ws", socket},
		"stream":   {"/api/realtime/jobs/{jobId}/stream", stream},
	} {
		if address := contract.Channels.values[channel].Address; address != want.address {
			t.Errorf("the channel %s is at %s, want %s", channel, address, want.address)
		}
		if names := contract.names(t, channel); !slices.Equal(names, want.names) {
			t.Errorf("the channel %s has %v, want %v", channel, names, want.names)
		}
	}
	if len(contract.Channels.keys) != 4 {
		t.Errorf("the channels are %v", contract.Channels.keys)
	}
	var used []string
	for _, message := range contract.Components.Messages.values {
		if message.Payload.Ref != "" {
			used = append(used, filepath.Base(message.Payload.Ref))
		}
	}
	for _, path := range schemaPaths(t) {
		switch name := filepath.Base(path); name {
		case "envelope.v1.json", "catalogue-file.v1.json": // a part of others, and a file of operators
		default:
			if !slices.Contains(used, name) {
				t.Errorf("no message has the schema %s", name)
			}
		}
	}
}

// TestMessagesPage: docs/contracts/messages.md is written from the AsyncAPI document and the
// schemas.
func TestMessagesPage(t *testing.T) {
	t.Parallel()
	want := messagesText(t, readContract(t))
	if *updateMessages {
		if err := os.WriteFile(messagesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(messagesPage)
	if err != nil || string(got) != want {
		t.Errorf(`%s is not what the schemas say; run "go test ./messaging -run TestMessagesPage -update": %v`, messagesPage, err)
	}
}

func messagesText(t *testing.T, contract asyncAPI) string {
	t.Helper()
	var page strings.Builder
	page.WriteString(`<!-- Written by "go test ./messaging -run TestMessagesPage -update" from asyncapi.yaml and messaging/schemas. Change those, not this page. -->

# Messages

The messages of the contract, version 1, by channel. [asyncapi.yaml](asyncapi.yaml) has the same as an AsyncAPI 3 document, for tools; [the socket
contract](websocket.md), [publishing](../publishing.md) and [event streams](../api/realtime.md#events-of-a-job-as-a-stream) say what happens when.
Later versions may add fields: ignore fields that are not named here.
`)
	for _, key := range contract.Channels.keys {
		channel := contract.Channels.values[key]
		fmt.Fprintf(&page, "\n## %s\n\n`%s`\n\n%s", channel.Title, channel.Address, channel.Description)
		for _, name := range contract.Operations.keys {
			if operation := contract.Operations.values[name]; operation.Channel.Ref == "#/channels/"+key {
				fmt.Fprintf(&page, "\n- %s", operation.Summary)
			}
		}
		page.WriteString("\n")
		for _, name := range channel.Messages.keys {
			message := contract.message(t, channel.Messages.values[name])
			if key == "stream" {
				fmt.Fprintf(&page, "\n- [`%[1]s`](#%[2]s)", message.Name, strings.ReplaceAll(message.Name, ".", ""))
				continue // has the payload of the socket's event
			}
			writeMessage(t, &page, message)
		}
	}
	page.WriteString("\n")
	return page.String()
}

func writeMessage(t *testing.T, page *strings.Builder, message apiMessage) {
	t.Helper()
	fmt.Fprintf(page, "\n### %s\n", message.Name)
	if message.Payload.Ref == "" {
		fmt.Fprintf(page, "\n%s\n", message.Summary)
		return
	}
	document := parseFile(t, filepath.Join("../docs/contracts", message.Payload.Ref))
	fmt.Fprintf(page, "\n%s\n\n| field | type | meaning |\n| --- | --- | --- |\n", document["description"])
	writeFields(t, page, document, nil)
	examples, _ := document["examples"].([]any)
	example, err := json.Marshal(examples[0])
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(page, "\n```json\n%s\n```\n", example)
}

// writeFields writes a row for each property but those of except. The properties of the
// schemas that allOf refers to come first, but for those that the schema describes itself.
func writeFields(t *testing.T, page *strings.Builder, schema, except map[string]any) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	all, _ := schema["allOf"].([]any)
	for _, part := range all {
		if ref, _ := part.(map[string]any)["$ref"].(string); ref != "" {
			writeFields(t, page, parseFile(t, filepath.Join("schemas", ref)), properties)
		}
	}
	required, _ := schema["required"].([]any)
	var names []string
	for name := range properties {
		if _, ok := except[name]; !ok {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		// The required ones first, in the order in which the schema names them.
		if i, j := position(required, a), position(required, b); i != j {
			return i - j
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		property := properties[name].(map[string]any)
		shown := "`" + name + "`"
		if !slices.Contains(required, any(name)) {
			shown += ", optional"
		}
		fmt.Fprintf(page, "| %s | %s | %s |\n", shown, typeText(property), property["description"])
	}
}

// position returns the index of a name, or the length of the list without it.
func position(list []any, name string) int {
	if i := slices.Index(list, any(name)); i >= 0 {
		return i
	}
	return len(list)
}

// typeText returns the type of a property: its values where they are listed.
func typeText(property map[string]any) string {
	if value, ok := property["const"]; ok {
		return fmt.Sprintf("`%v`", value)
	}
	if values, _ := property["enum"].([]any); len(values) > 0 {
		var texts []string
		for _, value := range values {
			texts = append(texts, fmt.Sprintf("`%v`", value))
		}
		return strings.Join(texts, ", ")
	}
	var texts []string
	switch kind := property["type"].(type) {
	case string:
		texts = append(texts, kind)
	case []any:
		for _, one := range kind {
			texts = append(texts, fmt.Sprint(one))
		}
	}
	choices, _ := property["anyOf"].([]any)
	for _, one := range choices {
		texts = append(texts, typeText(one.(map[string]any)))
	}
	return strings.Join(texts, " or ")
}
