package doctor

import "fmt"

// Disk judges the file system of the embedded log: free and total are its bytes, and
// maxLog is what the log may grow to, used what it has already.
func Disk(dir string, free, total, maxLog, used uint64) Check {
	const area, least = "system", 1 << 30
	name := "disk of " + dir
	found := fmt.Sprintf("%s of %s free", bytesText(free), bytesText(total))
	left := maxLog - min(used, maxLog)
	switch {
	case free < least || total > 0 && free*100 < total*2:
		return Check{Fail, area, name, found, "make room: a full disk stops the log, which says so and goes on when there is room"}
	case free < left:
		return Check{
			Warn, area, name, found + fmt.Sprintf(", and the log may grow by %s", bytesText(left)),
			"make room, or lower STREAM_MAX_BYTES, so that the log refuses before the disk is full",
		}
	}
	return ok(area, name, found)
}

// Folder judges the folder of the embedded log: err is why it cannot be written, and
// held says that another process has it.
func Folder(dir string, there, held bool, err error) Check {
	const area = "system"
	name := "folder " + dir
	switch {
	case err != nil:
		return Check{Fail, area, name, oneLine(err.Error()), "give the user of the service the right to write there, or set DATA_DIR"}
	case !there:
		return Check{Skip, area, name, "is not there: a gateway creates it when it starts", ""}
	case held:
		return Check{Skip, area, name, "a gateway runs on it", "to look at its log, set NATS_URL to the address in its NATS_LISTEN"}
	}
	return ok(area, name, "can be written, and no gateway runs on it")
}

// reservedFiles are what a gateway opens beside its sockets: the files of the log,
// the backends, requests that are no sockets.
const reservedFiles = 512

// plentyOfFiles is enough where no limit on connections says how many.
const plentyOfFiles = 65_536

// Files judges how many files a process may open here, sockets among them, against
// SOCKET_MAX_CONNECTIONS; 0 is without a limit.
func Files(limit uint64, maxConnections int) Check {
	const area, name = "system", "open files"
	found := fmt.Sprintf("%d for a process started here", limit)
	const raise = "raise it where the gateway is started: LimitNOFILE= of systemd, ulimit -n, --ulimit nofile= of a container"
	switch {
	case maxConnections > 0 && limit < uint64(maxConnections)+reservedFiles:
		return Check{
			Fail, area, name, found + fmt.Sprintf(", and SOCKET_MAX_CONNECTIONS is %d", maxConnections),
			fmt.Sprintf("%s to %d or more", raise, maxConnections+reservedFiles),
		}
	case maxConnections == 0 && limit < plentyOfFiles:
		return Check{
			Warn, area, name, found + ", and SOCKET_MAX_CONNECTIONS sets no limit below",
			raise + ", or set SOCKET_MAX_CONNECTIONS, so that sockets are refused with a reason",
		}
	}
	return ok(area, name, found)
}

// bytesText shows a number of bytes; 0 is without a bound.
func bytesText(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exponent := float64(n)/unit, 0
	for value >= unit && exponent < 4 {
		value, exponent = value/unit, exponent+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exponent])
}
