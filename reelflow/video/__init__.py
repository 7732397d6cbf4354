"""What a video file is, and what is wrong with it for publishing."""

from reelflow.video.check import VideoReport, check_video
from reelflow.video.probe import VideoFacts
from reelflow.video.rules import Limits, Problem, problems

__all__ = ["Limits", "Problem", "VideoFacts", "VideoReport", "check_video", "problems"]
