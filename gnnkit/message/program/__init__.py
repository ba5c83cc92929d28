"""Message programs: what happens at one edge in plain Python, traced, differentiated, and run fused. See program.py."""

from gnnkit.message.program import agg as agg
from gnnkit.message.program.program import MessageProgram as MessageProgram
from gnnkit.message.program.program import message_passing as message_passing
from gnnkit.message.program.program import message_program as message_program
