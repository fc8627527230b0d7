package natsserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/letswriteabook/realtime/internal/wholefile"
)

// FormatFile is the file in a data folder that has the number of its format. A folder
// without it is from before there was one, and has format 1. So has one whose file is
// empty or has zero bytes only: a power loss while an earlier version created the file
// leaves that.
const FormatFile = "FORMAT"

// format is the format that this version writes. It is raised by a change after which
// an earlier version would read the folder wrongly, or not at all, so that one refuses it.
const format = 1

// ErrNewerFormat is returned by [Start] for a folder that a later version has used. A retry
// does not help: that version opens it, or this one a backup from before.
var ErrNewerFormat = errors.New("the data folder is of a later version")

// claimFormat checks the format of a folder that is locked, and writes that of this version.
func claimFormat(dir string) error {
	file := filepath.Join(dir, FormatFile)
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the format of the data folder: %w", err)
	}
	found := 0
	if number := strings.Trim(string(text), "\x00 \t\r\n"); number != "" {
		if found, err = strconv.Atoi(number); err != nil {
			return fmt.Errorf("read the format of the data folder: %s has no number", file)
		}
	}
	if found > format {
		return fmt.Errorf("%w: its format is %d, and this version opens up to %d; start the later version, or restore a backup that was taken before it", ErrNewerFormat, found, format)
	}
	if found == format {
		return nil
	}
	if err := wholefile.WriteBytes(file, 0o640, []byte(strconv.Itoa(format)+"\n")); err != nil {
		return fmt.Errorf("write the format of the data folder: %w", err)
	}
	return nil
}
