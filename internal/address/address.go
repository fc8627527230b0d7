package address

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// ErrAmbiguous is returned by [Check] for an address with an @ that does not end the
// user and password in it: a driver would take a part of the password for a host. A
// retry does not help.
var ErrAmbiguous = errors.New("an @ stands after the host; special characters in the user and password must be percent-encoded, / as %2F, ? as %3F, # as %23, @ as %40, a comma as %2C")

// What stands in place of something that is not shown.
const (
	hidden = "(hidden)"
	masked = "xxxxx"
)

var (
	schemes = []string{"http", "https", "mongodb", "mongodb+srv", "nats", "redis", "rediss", "tls", "ws", "wss"}

	host = regexp.MustCompile(`^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)
	path = regexp.MustCompile(`^(?:/[A-Za-z0-9._/~-]*)?$`)

	// options are the names of options that hold no secret themselves, in lower case.
	options = []string{
		"appname", "authmechanism", "authmechanismproperties", "authsource", "client_name", "compressors", "connecttimeoutms", "db", "dial_timeout",
		"directconnection", "loadbalanced", "localthresholdms", "max_retries", "maxpoolsize", "maxstalenessseconds", "minpoolsize", "password",
		"pool_size", "pool_timeout", "protocol", "read_timeout", "readconcernlevel", "readpreference", "readpreferencetags", "replicaset",
		"retryreads", "retrywrites", "serverselectiontimeoutms", "sockettimeoutms", "srvmaxhosts", "srvservicename", "ssl", "timeoutms", "tls",
		"tlsallowinvalidcertificates", "tlscafile", "tlscertificatekeyfile", "tlsinsecure", "username", "w", "write_timeout", "wtimeoutms",
	}
)

// parts is one address of a list, or one more host of the address before it.
type parts struct {
	scheme  string // empty for a further host
	login   bool   // whether there is a user or password
	host    string
	path    string
	query   string
	options bool // whether there is a query
}

// split takes a list apart at its commas, and each part as the drivers do: the user
// and password end at the last @ before the first slash, question mark or hash.
func split(list string) []parts {
	var all []parts
	options := false // whether the part before has a query, which the comma may stand in
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		var p parts
		if scheme, rest, found := strings.Cut(text, "://"); found && !strings.ContainsAny(scheme, "/?#@") {
			p.scheme, text, options = scheme, rest, false
		}
		if options && p.scheme == "" {
			p.query, p.options = text, true
			all = append(all, p)
			continue
		}
		text, p.query, p.options = strings.Cut(text, "?")
		options = p.options
		if i := strings.IndexAny(text, "/#"); i >= 0 {
			text, p.path = text[:i], text[i:]
		}
		if i := strings.LastIndexByte(text, '@'); i >= 0 {
			p.login, text = true, text[i+1:]
		}
		p.host = text
		all = append(all, p)
	}
	return all
}

// Check returns [ErrAmbiguous] for an address, or a list of them, in which an @
// stands where neither a user nor a password can end.
func Check(list string) error {
	for _, p := range split(list) {
		if strings.Contains(p.path+p.query, "@") || p.login && p.scheme == "" {
			return ErrAmbiguous
		}
	}
	return nil
}

// Shown returns an address, or a comma-separated list of them, without its secrets.
func Shown(list string) string {
	if list == "" {
		return ""
	}
	all := split(list)
	if Check(list) != nil || all[0].scheme == "" {
		return hidden
	}
	login := slices.ContainsFunc(all, func(p parts) bool { return p.login })
	shown := make([]string, len(all))
	options := false
	for i, p := range all {
		text, understood := p.shown(options)
		if !understood {
			return hidden
		}
		if p.scheme != "" && login && !p.login {
			text = p.scheme + "://" + hidden // The comma before it may belong to a password.
		}
		options = p.options
		shown[i] = text
	}
	return strings.Join(shown, ",")
}

// shown returns one part, and whether all of it was understood. inOptions tells that
// it belongs to the options of the part before.
func (p parts) shown(inOptions bool) (text string, understood bool) {
	if inOptions && p.scheme == "" {
		return masked, true
	}
	if p.scheme != "" {
		if !slices.Contains(schemes, p.scheme) {
			return "", false
		}
		text = p.scheme + "://"
	}
	if p.login {
		text += masked + "@" // the user, too: a token with a colon is read as user and password
	}
	if !host.MatchString(p.host) || !path.MatchString(p.path) {
		return "", false
	}
	text += p.host + p.path
	if !p.options {
		return text, true
	}
	pairs := strings.Split(p.query, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if !slices.Contains(options, strings.ToLower(name)) {
			name = masked
		}
		pairs[i] = name + "=" + masked
	}
	return text + "?" + strings.Join(pairs, "&"), true
}
