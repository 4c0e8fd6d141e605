package ingress

import (
	"sync"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
)

// link says how the gateway fares, and who asked for a listing of its objects. It may be used from many goroutines.
type link struct {
	stopped <-chan struct{}
	relist  chan struct{}

	mu    sync.Mutex
	state engine.State
	// filled says that all objects were listed once.
	filled bool
	// leftOut are the objects that a fallback serves without their plugins.
	leftOut string
	// asked are the texts that owners asked for a listing with.
	asked map[desired.Owner]string
}

func newLink(stopped <-chan struct{}) *link {
	return &link{stopped: stopped, relist: make(chan struct{}, 1), asked: map[desired.Owner]string{}}
}

// isStopped says whether another engine took the place of this one.
func (l *link) isStopped() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// set changes what is said of the gateway, and gives what was said before.
func (l *link) set(now engine.State) (former engine.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now.LeftOut = l.leftOut
	former, l.state = l.state, now
	return former
}

func (l *link) get() engine.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// fill notes that all objects were listed, and says whether that was the first time.
func (l *link) fill() (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, l.filled = !l.filled, true
	return first
}

func (l *link) isFilled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.filled
}

// leave notes which objects a fallback serves without their plugins. The next set tells.
func (l *link) leave(out string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leftOut = out
}

// ask asks for a listing, once for each text of an owner.
func (l *link) ask(owner desired.Owner, text string) {
	l.mu.Lock()
	asked := text != "" && l.asked[owner] != text
	if asked {
		l.asked[owner] = text
	}
	l.mu.Unlock()
	if asked {
		select {
		case l.relist <- struct{}{}:
		default: // one is asked for already
		}
	}
}

// wantsList says whether a listing was asked for since it was asked last.
func (l *link) wantsList() bool {
	select {
	case <-l.relist:
		return true
	default:
		return false
	}
}

// forget drops what is remembered of an owner that is gone.
func (l *link) forget(owner desired.Owner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asked, owner)
}
