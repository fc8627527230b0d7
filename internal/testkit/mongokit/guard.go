package mongokit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Guard is a proxy in front of the server of [URI]. It refuses commands as MongoDB refuses
// those that a user's roles do not allow; FerretDB has no authorization of its own.
type Guard struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	may   func(command string) bool
	with  Refusal
	used  map[string]bool // commands that were forwarded
	never []byte          // updates that contain these bytes are refused; nil for none
	conns []net.Conn
}

// free are commands that need no role.
var free = []string{"hello", "isMaster", "ismaster", "ping", "buildInfo", "endSessions", "killCursors", "getMore"}

// readWrite are the commands that MongoDB's role readWrite allows, as far as the service
// could use them: insert, find, update, remove, createIndex, listIndexes, listCollections,
// createCollection, dropCollection and renameCollectionSameDB.
var readWrite = []string{
	"insert", "find", "count", "aggregate", "distinct", "update", "delete", "findAndModify", "createIndexes", "listIndexes",
	"listCollections", "create", "drop", "dropIndexes", "renameCollection",
}

// ReadWrite is the role readWrite, for [Guard.Allow].
func ReadWrite(command string) bool { return slices.Contains(readWrite, command) }

// Read is the role read, for [Guard.Allow].
func Read(command string) bool {
	return slices.Contains([]string{"find", "count", "aggregate", "distinct", "listIndexes", "listCollections"}, command)
}

// StartGuard starts a guard that allows the role readWrite, until the test ends.
func StartGuard(t testing.TB) *Guard {
	t.Helper()
	target, err := url.Parse(URI())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &Guard{listener: listener, target: target.Host, may: ReadWrite, used: make(map[string]bool)}
	g.wg.Go(g.accept) // ends when the listener is closed
	t.Cleanup(func() {
		_ = listener.Close()
		g.mu.Lock()
		for _, conn := range g.conns {
			_ = conn.Close()
		}
		g.mu.Unlock()
		g.wg.Wait()
	})
	return g
}

// URI returns the connection string of a database behind the guard.
func (g *Guard) URI(database string) string {
	return "mongodb://" + g.listener.Addr().String() + "/" + database
}

// Allow sets which commands are forwarded, in addition to those that need no role. While may
// blocks, the command and those after it on its connection have no answer. It may be called
// concurrently.
func (g *Guard) Allow(may func(command string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.may = may
}

// RefuseUpdates refuses each update that contains the bytes, as MongoDB refuses an update
// that a validator rejects. The other updates of its command are not executed, as on some
// servers.
func (g *Guard) RefuseUpdates(holding []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.never = holding
}

// Refusal is an answer to a command other than that a role does not allow it.
type Refusal struct {
	Command string // empty: no command has another answer
	Code    int32
	Name    string
	Text    string
}

// Refuse answers a command with an error from now on, even if it is allowed. It replaces
// the previous refusal.
func (g *Guard) Refuse(with Refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.with = with
}

// Used returns the forwarded commands that need a role.
func (g *Guard) Used() (commands []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for command := range g.used {
		commands = append(commands, command)
	}
	slices.Sort(commands)
	return commands
}

func (g *Guard) accept() {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", g.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		g.mu.Lock()
		g.conns = append(g.conns, client, server)
		g.mu.Unlock()
		answers := &answers{to: client}
		// Each goroutine ends when either connection is closed, and closes both.
		g.wg.Go(func() {
			defer closeBoth(client, server)
			g.ask(client, server, answers)
		})
		g.wg.Go(func() {
			defer closeBoth(client, server)
			for {
				message, err := readMessage(server)
				if err != nil || answers.write(message) != nil {
					return
				}
			}
		})
	}
}

func closeBoth(a, b net.Conn) { _, _ = a.Close(), b.Close() }

// answers serializes the messages that two goroutines write to a client.
type answers struct {
	mu sync.Mutex // guards writing to the field below
	to net.Conn
}

func (a *answers) write(message []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err := a.to.Write(message)
	return err
}

// ask forwards the client's messages or refuses them.
func (g *Guard) ask(client, server net.Conn, answers *answers) {
	for {
		message, err := readMessage(client)
		if err != nil {
			return
		}
		command := commandOf(message)
		if with, refused := g.refused(command); refused {
			err = answers.write(refusal(message, with))
		} else if index := g.refusedUpdate(command, message); index >= 0 {
			err = answers.write(answer(message, bson.D{
				{Key: "ok", Value: 1.0},
				{Key: "n", Value: int32(0)},
				{Key: "nModified", Value: int32(0)},
				{Key: "writeErrors", Value: bson.A{bson.D{
					{Key: "index", Value: int32(index)}, {Key: "code", Value: int32(121)}, {Key: "errmsg", Value: "Document failed validation"},
				}}},
			}))
		} else {
			_, err = server.Write(message)
		}
		if err != nil {
			return
		}
	}
}

// refused returns the refusal of a command that is not forwarded.
func (g *Guard) refused(command string) (Refusal, bool) {
	if command == "" {
		return Refusal{}, false
	}
	g.mu.Lock()
	with := g.with
	g.mu.Unlock()
	if with.Command == command {
		return with, true
	}
	unauthorized := Refusal{Command: command, Code: 13, Name: "Unauthorized", Text: "not authorized to execute command " + command}
	return unauthorized, !g.allowed(command)
}

func (g *Guard) allowed(command string) bool {
	if slices.Contains(free, command) {
		return true
	}
	g.mu.Lock()
	may := g.may
	g.mu.Unlock()
	allowed := may(command) // May block.
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used[command] = g.used[command] || allowed
	return allowed
}

// refusedUpdate returns the index of the update in a command to refuse, or -1.
func (g *Guard) refusedUpdate(command string, message []byte) int {
	g.mu.Lock()
	never := g.never
	g.mu.Unlock()
	if command != "update" || never == nil {
		return -1
	}
	// The body is followed by a section of kind 1: its length, its name, and the updates.
	const body = headerBytes + 4 + 1
	section := message[body+binary.LittleEndian.Uint32(message[body:]):]
	const name = "updates\x00"
	if len(section) < 5+len(name) || section[0] != 1 || string(section[5:5+len(name)]) != name {
		return -1
	}
	updates := section[5+len(name) : 1+binary.LittleEndian.Uint32(section[1:])]
	for index := 0; len(updates) > 4; index++ {
		length := binary.LittleEndian.Uint32(updates)
		if bytes.Contains(updates[:length], never) {
			return index
		}
		updates = updates[length:]
	}
	return -1
}

const (
	headerBytes     = 16 // length, request, response to, operation
	opMsg           = 2013
	maxMessageBytes = 64 << 20
)

// readMessage reads one message of the wire protocol.
func readMessage(from io.Reader) ([]byte, error) {
	header := make([]byte, headerBytes)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header)
	if length < headerBytes || length > maxMessageBytes {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	message := make([]byte, length)
	copy(message, header)
	_, err := io.ReadFull(from, message[headerBytes:])
	return message, err
}

// commandOf returns the name of the command in an OP_MSG, whose first section is its body;
// "" for other messages.
func commandOf(message []byte) string {
	const body = headerBytes + 4 // after the flags: the kind of the section, 0
	if binary.LittleEndian.Uint32(message[12:]) != opMsg || len(message) <= body || message[body] != 0 {
		return ""
	}
	document := message[body+1:]
	if len(document) < 4 || int(binary.LittleEndian.Uint32(document)) > len(document) {
		return ""
	}
	elements, err := bson.Raw(document[:binary.LittleEndian.Uint32(document)]).Elements()
	if err != nil || len(elements) == 0 {
		return ""
	}
	return elements[0].Key()
}

// refusal returns MongoDB's answer to a refused command.
func refusal(message []byte, with Refusal) []byte {
	return answer(message, bson.D{
		{Key: "ok", Value: 0.0},
		{Key: "errmsg", Value: with.Text},
		{Key: "code", Value: with.Code},
		{Key: "codeName", Value: with.Name},
	})
}

// answer returns the answer to a message.
func answer(message []byte, reply bson.D) []byte {
	document, err := bson.Marshal(reply)
	if err != nil {
		panic(err) // the replies are fixed
	}
	answer := make([]byte, headerBytes+5, headerBytes+5+len(document)) // flags and kind are 0
	answer = append(answer, document...)
	binary.LittleEndian.PutUint32(answer, uint32(len(answer)))
	copy(answer[8:12], message[4:8]) // in response to
	binary.LittleEndian.PutUint32(answer[12:], opMsg)
	return answer
}
