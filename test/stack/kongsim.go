package stack

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// KongsimVariable is the path of the binary of a simulated Kong.
const KongsimVariable = "KJO_KONGSIM"

// Kongsim is a simulated Kong, or a node of one, as a process of its own.
type Kongsim struct {
	*process
	// AdminURL, ProxyURL, ClusterURL (of a control plane) and FaultsURL are where it listens; empty where it does
	// not.
	AdminURL, ProxyURL, ClusterURL, FaultsURL string
}

// StartKongsim starts the binary of a simulated Kong, and returns when it listens. It ends with Stop or Kill.
func StartKongsim(flags ...string) (*Kongsim, error) {
	binary := os.Getenv(KongsimVariable)
	if binary == "" {
		return nil, fmt.Errorf("%s does not name the simulated Kong's binary; `make e2e` and `make bench` build bin/kongsim", KongsimVariable)
	}
	command := exec.Command(binary, flags...) //nolint:gosec // The binary that the caller built.
	// It stands for a Kong elsewhere: it is to take as little as it can of the processors here, and one is enough.
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stderr = os.Stderr
	said, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = said.Close() }() // it says nothing later
	command.Stdout = out
	k := &Kongsim{}
	k.process, err = begin("the simulated Kong", command)
	_ = out.Close() // the process has its own descriptor
	if err != nil {
		return nil, err
	}
	urls := map[string]*string{"Admin API": &k.AdminURL, "Proxy": &k.ProxyURL, "Cluster": &k.ClusterURL, "Faults": &k.FaultsURL}
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if lines.Text() == "Ready" {
			return k, nil
		}
		name, address, _ := strings.Cut(lines.Text(), "http://")
		if url := urls[strings.TrimSpace(name)]; url != nil {
			*url = "http://" + address
		}
	}
	return nil, errors.Join(fmt.Errorf("%s did not start: %v", k.what, command.Args), k.Kill())
}
