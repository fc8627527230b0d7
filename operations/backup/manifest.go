package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

var (
	// ErrExists is returned by [Save] for a folder that holds a whole backup. A
	// retry helps with another folder.
	ErrExists = errors.New("the folder holds a backup")

	// ErrNoBackup is returned by [Load] and [Restore] for a folder without a manifest
	// that can be read: it is none, or the backup was interrupted.
	ErrNoBackup = errors.New("no backup")

	// ErrCorrupt is returned by [Check] and [Restore] when a file is not as the
	// manifest says. Nothing was changed; another backup helps.
	ErrCorrupt = errors.New("the backup is corrupt")
)

const (
	manifestFile    = "manifest.json"
	manifestVersion = 1
)

// Manifest says what a backup holds.
type Manifest struct {
	Version       int       `json:"version"`
	CreatedAt     time.Time `json:"createdAt"`
	ServerVersion string    `json:"serverVersion"`
	Streams       []Stream  `json:"streams"`
	// Erased are the jobs that were erased after the backup was made: a restore does
	// not bring them back.
	Erased []Erased `json:"erased,omitempty"`
}

// Erased is a note that a job was erased. Its bytes are in the backup still.
type Erased struct {
	ID     string    `json:"id"`
	JobID  string    `json:"jobId"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// Stream is one stream of a backup.
type Stream struct {
	Name          string `json:"name"`
	Epoch         string `json:"epoch,omitempty"`
	Messages      uint64 `json:"messages"`
	FirstSequence uint64 `json:"firstSequence"`
	LastSequence  uint64 `json:"lastSequence"`
	// SHA256 is the checksum of the messages (archive.Sum); empty where they changed
	// while they were saved, and in backups from before there was one.
	SHA256 string `json:"sha256,omitempty"`
	Files  []File `json:"files"`
}

// File is a file of a backup; Path is relative to the folder.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Load reads the manifest of a folder.
func Load(dir string) (Manifest, error) {
	var manifest Manifest
	data, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return manifest, fmt.Errorf("%w in %s: %w", ErrNoBackup, dir, err)
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		return manifest, fmt.Errorf("%w in %s: read the manifest: %w", ErrNoBackup, dir, err)
	}
	if manifest.Version != manifestVersion {
		return manifest, fmt.Errorf("%w in %s: its version is %d, want %d", ErrNoBackup, dir, manifest.Version, manifestVersion)
	}
	for _, stream := range manifest.Streams {
		for _, file := range stream.Files {
			if !filepath.IsLocal(file.Path) {
				return manifest, fmt.Errorf("%w in %s: a file outside of it", ErrNoBackup, dir)
			}
		}
	}
	return manifest, nil
}

// Check compares every file with the manifest. It returns [ErrCorrupt] for a file that
// is missing or different; one that cannot be read may be whole.
func Check(dir string, manifest Manifest) error {
	var problems []error
	for _, stream := range manifest.Streams {
		for _, want := range stream.Files {
			got, err := sumFile(dir, want.Path)
			switch {
			case errors.Is(err, os.ErrNotExist):
				problems = append(problems, fmt.Errorf("%w: %w", ErrCorrupt, err))
			case err != nil:
				problems = append(problems, fmt.Errorf("check the backup: %w", err))
			case got != want:
				problems = append(problems, fmt.Errorf("%w: %s is not as it was written", ErrCorrupt, want.Path))
			}
		}
	}
	return errors.Join(problems...)
}

// CheckFolder loads the manifest of the backup in a folder, and checks its files.
func CheckFolder(dir string) (Manifest, error) {
	manifest, err := Load(dir)
	if err != nil {
		return manifest, err
	}
	return manifest, Check(dir, manifest)
}

func sumFile(dir, path string) (File, error) {
	file, err := os.Open(filepath.Join(dir, path))
	if err != nil {
		return File{}, err
	}
	defer file.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, file)
	return File{Path: path, Bytes: n, SHA256: hex.EncodeToString(hash.Sum(nil))}, err
}
