//go:build controllers

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// assets is the folder with etcd and kube-apiserver, which run as processes of their own: where they can be had ready
// made, only the controllers have to be compiled. The linker sets it, and KUBEBUILDER_ASSETS is another.
var assets string

// startEtcd runs a single member on free loopback ports. Nothing is synced to disk, as in the process of all parts.
func startEtcd(_ context.Context, dir string) (*etcd, error) {
	client, err := freeAddress()
	if err != nil {
		return nil, err
	}
	peer, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := start("etcd", "--data-dir="+dir, "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls=http://"+client, "--advertise-client-urls=http://"+client,
		"--listen-peer-urls=http://"+peer, "--initial-advertise-peer-urls=http://"+peer,
		"--initial-cluster=default=http://"+peer)
	if err != nil {
		return nil, err
	}
	return &etcd{url: "http://" + client, failed: p.failed, stop: p.stop}, nil
}

// startAPIServer runs kube-apiserver. RBAC is on, the admission plugins are the stock ones.
func startAPIServer(cfg config, creds credentials, etcd string) (*apiServer, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if cfg.port != 0 {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.port))
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	certificate := filepath.Join(creds.certDir, "apiserver.crt")
	p, err := start("kube-apiserver", append(apiServerFlags(creds, etcd), "--secure-port="+port)...)
	if err != nil {
		return nil, err
	}
	var ca []byte
	err = wait.PollUntilContextTimeout(context.Background(), pollInterval, startTimeout, true, func(context.Context) (bool, error) {
		select {
		case err := <-p.failed:
			return false, err
		default:
		}
		ca, err = os.ReadFile(certificate)
		return err == nil, nil
	})
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("wait for %s: %w", certificate, err)
	}
	return &apiServer{client: clientOf(address, creds, ca), ca: ca, failed: p.failed, cancel: p.stop, done: p.done}, nil
}

// process is one that was started.
type process struct {
	command *exec.Cmd
	// failed receives the error with which it ended by itself; done is closed when it is gone.
	failed chan error
	done   chan struct{}
}

func start(name string, args ...string) (*process, error) {
	folder := assets
	if other := os.Getenv("KUBEBUILDER_ASSETS"); other != "" {
		folder = other
	}
	command := exec.Command(filepath.Join(folder, name), args...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	// The terminal's interrupt is for the one that started it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, failed: make(chan error, 1), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		err := command.Wait()
		p.failed <- errors.Join(errors.New(name+" ended"), err)
	}()
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may be gone already
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.done
	}
}

// stopTimeout is how long a process may take to end when it is asked to.
const stopTimeout = 30 * time.Second

// freeAddress is an address of this machine that nobody listens at.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
