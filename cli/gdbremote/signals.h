/* Signals to the server itself. */
#ifndef REIN_GDBREMOTE_SIGNALS_H
#define REIN_GDBREMOTE_SIGNALS_H

/* Takes them over. -1: errno. */
int signals_begin(void);
/* Can be read from the moment in which the server is to end, and not before; -1: there is none. */
int signals_end_fd(void);
/* The signal that asks for the server's end; 0: none has come. */
int signals_ended_by(void);
/* Programs must be started with the dispositions that the server was started with: call these around. */
void signals_before_spawn(void);
void signals_after_spawn(void);

#endif
